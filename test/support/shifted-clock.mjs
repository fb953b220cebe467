/** Loaded by `node --import`: the clock of this process is off by CLOCK_OFF_MS. */
const off = Number(process.env.CLOCK_OFF_MS);
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + off] : args));
  }
  static now() {
    return RealDate.now() + off;
  }
};
