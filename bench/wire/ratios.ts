import { compare, type Ratio } from "../lib/ratios.ts";
import { type HttpVersion, httpVersions, type Protocol, protocols } from "./cases.ts";
import type { Row } from "./measure.ts";

/** The ratios with a target, and others that help to read them. Ratios of rows that were not measured are left out. */
export function ratiosOf(rows: readonly Row[]): Ratio[] {
  const find = (server: string, protocol: Protocol, http: HttpVersion) =>
    rows.find((row) => row.server === server && row.protocol === protocol && row.http === http);

  function* toServer(ours: string, other: string, target?: Ratio["target"]): Generator<Ratio> {
    for (const http of httpVersions) {
      for (const protocol of protocols) {
        const [one, two] = [find(ours, protocol, http), find(other, protocol, http)];
        if (!one || !two) continue;
        const name = `${ours} : ${other}, ${protocol} ${http}`;
        yield { name: `${name}, requests`, ...compare(one, two, "requestsPerSecond"), target };
        // The inverse, so that more is better here too.
        yield { name: `${name}, CPU saved`, ...compare(two, one, "cpuUs"), target };
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
      const one = find(ours, protocol, http);
      const floor = find(bare, protocol === "grpc" ? "grpc" : "connect-json", http);
      if (!one || !floor) continue;
      yield { name: `${ours} : ${bare}, ${protocol} ${http}, CPU`, ...compare(one, floor, "cpuUs"), target };
    }
  }

  function* restToConnect(ours: string, target?: Ratio["target"]): Generator<Ratio> {
    for (const http of httpVersions) {
      const [rest, connect] = [find(ours, "rest", http), find(ours, "connect-json", http)];
      if (!rest || !connect) continue;
      yield { name: `${ours} rest : connect-json, ${http}, CPU`, ...compare(rest, connect, "cpuUs"), target };
    }
  }

  return [
    ...toServer("unary-auth", "connect-node-plain", { atLeast: 6 }),
    ...toBare("unary-auth", "bare-http1", "http1", { atMost: 1.5 }),
    ...toBare("unary-auth", "bare-http2", "http2", { atMost: 1.3 }),
    ...restToConnect("unary-auth", { atMost: 1.3 }),
    ...toServer("unary-auth", "connect-node-auth"),
    ...toServer("unary-plain", "connect-node-plain"),
    ...toBare("unary-plain", "bare-http1", "http1"),
    ...toBare("unary-plain", "bare-http2", "http2"),
    ...toBare("unary-auth", "bare-http2-core", "http2"),
    ...toBare("unary-auth", "grpc-js", "http2"),
    ...toBare("connect-node-plain", "bare-http1", "http1"),
    ...toBare("connect-node-plain", "bare-http2", "http2"),
  ];
}
