/** Results as npm's search v1 has them. pnpm wants `publisher.username`, npm `maintainers`, and both want ISO times. */
import type { SearchHit, SearchPage } from "./search.ts";

/** @param nowMs Unix time in milliseconds */
export function searchAnswer({ hits, total }: SearchPage, nowMs: number): object {
  return { objects: hits.map(objectOf), total, time: new Date(nowMs).toISOString() };
}

function objectOf(hit: SearchHit): object {
  const { name, version, description, keywords, date, license, links, publisher, score } = hit;
  // Who signs has no mail address here: an index is known by its name and its keys.
  const person = { username: publisher, email: "" };
  return {
    package: {
      name,
      scope: name.startsWith("@") ? name.slice(1, name.indexOf("/")) : "unscoped",
      version,
      description,
      keywords,
      date,
      links,
      author: { name: publisher },
      publisher: person,
      maintainers: [person],
      ...(license === null ? {} : { license }),
    },
    // Nobody counts downloads: how well the text fits is all that there is.
    score: { final: score, detail: { quality: score, popularity: 0, maintenance: 0 } },
    searchScore: score,
    flags: { unstable: version.startsWith("0.") ? 1 : 0 },
  };
}
