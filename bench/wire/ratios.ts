import { type HttpVersion, httpVersions, type Protocol, protocols } from "./cases.ts";
import { median, type Row } from "./measure.ts";

/** Two rows set against each other. */
export interface Ratio {
  readonly name: string;
  /** Of the medians. */
  readonly value: number;
  /** The median of the ratios within each round: on a machine that others use, the steadier one. */
  readonly byRound: number;
  /** What is to be reached; none where the ratio is for information. */
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
}

/** The targets of issue 3, "Speed", and what else helps to read them. Without the ratios whose rows are missing. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  const find = (server: string, protocol: Protocol, http: HttpVersion) =>
    rows.find((row) => row.server === server && row.protocol === protocol && row.http === http);

  function* toStock(ours: string, stock: string, target?: Ratio["target"]): Generator<Ratio> {
    for (const http of httpVersions) {
      for (const protocol of protocols) {
        const [lane, other] = [find(ours, protocol, http), find(stock, protocol, http)];
        if (!lane || !other) continue;
        const name = `${ours} : ${stock}, ${protocol} ${http}`;
        yield { name: `${name}, requests`, ...divide(lane, other, "requestsPerSecond"), target };
        // The other way round, so that more is better here too.
        yield { name: `${name}, CPU saved`, ...divide(other, lane, "cpuUs"), target };
      }
    }
  }

  function* toBare(
    ours: string,
    bare: string,
    http: HttpVersion,
    target?: Ratio["target"],
  ): Generator<Ratio> {
    for (const protocol of protocols) {
      const lane = find(ours, protocol, http);
      const floor = find(bare, protocol === "grpc" ? "grpc" : "connect-json", http);
      if (!lane || !floor) continue;
      yield { name: `${ours} : ${bare}, ${protocol} ${http}, CPU`, ...divide(lane, floor, "cpuUs"), target };
    }
  }

  function* restToConnect(ours: string, target?: Ratio["target"]): Generator<Ratio> {
    for (const http of httpVersions) {
      const [rest, connect] = [find(ours, "rest", http), find(ours, "connect-json", http)];
      if (!rest || !connect) continue;
      yield { name: `${ours} rest : connect-json, ${http}, CPU`, ...divide(rest, connect, "cpuUs"), target };
    }
  }

  return [
    ...toStock("lane-auth", "stock-plain", { atLeast: 6 }),
    ...toBare("lane-auth", "bare-http1", "http1", { atMost: 1.5 }),
    ...toBare("lane-auth", "bare-http2", "http2", { atMost: 1.3 }),
    ...restToConnect("lane-auth", { atMost: 1.3 }),
    ...toStock("lane-auth", "stock-auth"),
    ...toStock("lane-plain", "stock-plain"),
    ...toBare("lane-plain", "bare-http1", "http1"),
    ...toBare("lane-plain", "bare-http2", "http2"),
    ...toBare("lane-auth", "bare-http2-core", "http2"),
    ...toBare("lane-auth", "grpc-js", "http2"),
    ...toBare("stock-plain", "bare-http1", "http1"),
    ...toBare("stock-plain", "bare-http2", "http2"),
  ];
}

function divide(one: Row, other: Row, by: "requestsPerSecond" | "cpuUs"): Pick<Ratio, "value" | "byRound"> {
  const byRound = one.samples.map((sample, round) => sample[by] / other.samples[round]![by]);
  return { value: one[by] / other[by], byRound: median(byRound) };
}

export function isReached({ value, target }: Ratio): boolean | undefined {
  if (target === undefined) return undefined;
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}
