/**
 * Variables in settings. npm writes `${NAME}` and `${NAME?}`, pnpm `${NAME-otherwise}` and `${NAME:-otherwise}`, all of
 * them with backslashes that may switch this off. A client that expands less than another must not make us miss what the
 * other one sees, so all readings are returned.
 */

export type Expanded = {
  /** As some client reads it; the text itself where it holds no variable. */ readonly texts: readonly string[];
  /** Whether a variable is not set: the client may still find it, in a file such as .env. */ readonly unset: boolean;
};

const VARIABLE = /\\*\$\{([^${}]*)\}/gu;

export function expand(text: string, env: NodeJS.ProcessEnv): Expanded {
  if (!text.includes("$")) return { texts: [text], unset: false };
  let unset = false;
  const replaced = text.replace(VARIABLE, (whole, name: string) => {
    const value = valueOf(name, env);
    if (value === null) unset = true;
    return value ?? whole;
  });
  return { texts: [...new Set([text, replaced])], unset };
}

function valueOf(name: string, env: NodeJS.ProcessEnv): string | null {
  const [, plain = name, colon = "", fallback] = /^([^:-]+)(:?)-(.*)$/su.exec(name) ?? /^(.*?)()(?:\?())?$/su.exec(name) ?? [];
  const value = env[name] ?? env[plain];
  if (value === undefined || (value === "" && colon !== "")) return fallback ?? null;
  return value;
}
