import { type DescMethod, fromJson, getOption, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { bindRequest } from "../../../src/wire/rest/rest.ts";
import { createRestRouter } from "../../../src/wire/rest/rules.ts";
import { codePoint } from "../../support/wire/code-point.ts";
import { jsonOf, serviceWithRules } from "../../support/wire/rest.ts";
import { encodeRequest } from "../../vectors/runner/encode.ts";

// Encodes with test/vectors/runner/encode.ts, which is checked by the vectors against what other clients send.

/** A binding, and a message that it can carry. */
interface Sample {
  readonly rule: JsonObject;
  readonly message: JsonObject;
}

/** Generators of proto JSON by field. */
type Values = Readonly<Record<string, fc.Arbitrary<JsonValue>>>;

/** Any characters, or those with a meaning in URLs. */
const text = fc.oneof(
  fc.string({ unit: codePoint, maxLength: 8 }),
  fc.string({ unit: fc.constantFrom(..."a/:%2Ff+&=.?#;,*{} é世\0"), maxLength: 8 }),
  fc.constantFrom("%2F", "%2f", "a:verb", "*", "**"),
);
const double = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }).map((value) => (value === 0 ? 0 : value)),
  fc.constantFrom("NaN", "Infinity", "-Infinity"),
);
const float = fc.float({ noDefaultInfinity: true, noNaN: true }).map((value) => (value === 0 ? 0 : value));
const bytes = fc.uint8Array({ maxLength: 8 }).map((value) => Buffer.from(value).toString("base64"));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const enumName = fc.constantFrom("ENUM_UNSPECIFIED", "ENUM_VALUE", "ENUM_OTHER");
const timestamp = fc
  .date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  })
  .map((date) => date.toISOString());
const nanos = fc.integer({ min: 0, max: 999_999_999 }).map((value) => String(value).padStart(9, "0"));
const duration = fc
  .tuple(fc.constantFrom("", "-"), fc.integer({ min: 0, max: 315_576_000_000 - 1 }), nanos)
  .map(([sign, seconds, fraction]) => `${sign}${seconds}.${fraction}s`);
const fieldMask = fc
  .uniqueArray(fc.constantFrom("name", "displayName", "book.title", "a.bC.d"), { maxLength: 3 })
  .map((paths) => paths.join(","));
const list = <T extends JsonValue>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 });
// Object literals treat `__proto__` as the prototype.
const key = text.filter((name) => name !== "__proto__");

/** Fields that a query can carry. */
const leaves: Values = {
  doubleValue: double,
  floatValue: float,
  int32Value: int32,
  int64Value: int64,
  uint32Value: uint32,
  uint64Value: uint64,
  sint32Value: int32,
  sint64Value: int64,
  boolValue: fc.boolean(),
  stringValue: text,
  bytesValue: bytes,
  timestamp,
  duration,
  boolWrapper: fc.boolean(),
  int32Wrapper: int32,
  int64Wrapper: int64,
  uint32Wrapper: uint32,
  uint64Wrapper: uint64,
  floatWrapper: float,
  doubleWrapper: double,
  bytesWrapper: bytes,
  stringWrapper: text,
  fieldMask,
  enumValue: enumName,
  enumList: list(enumName),
  doubleList: list(double),
  uint64WrapperList: list(uint64),
  stringList: list(text),
  optionalValue: text,
  "custom-kebab": text,
};

const choices: Values = { oneofDoubleValue: double, oneofStringValue: text, oneofBoolValue: fc.boolean() };

/** Fields that only a body can carry. */
const branches: Values = {
  stringMap: fc.dictionary(key, text, { maxKeys: 3 }),
  structValue: fc.dictionary(key, fc.oneof(text, fc.boolean(), int32, fc.constant(null)), { maxKeys: 3 }),
  value: fc.oneof(text, fc.boolean(), int32, fc.constant(null), list(text)),
  messageList: list(fc.record(leaves, { requiredKeys: [] }) as fc.Arbitrary<JsonObject>),
};

function messageFrom(values: Values): fc.Arbitrary<JsonObject> {
  const choice = fc.oneof(
    fc.constant({}),
    ...Object.entries(choices).map(([name, value]) => value.map((one) => ({ [name]: one }))),
  );
  return fc
    .tuple(fc.record(values, { requiredKeys: [] }), choice)
    .map(([fields, chosen]) => ({ ...fields, ...chosen }) as JsonObject);
}

/** Nested messages are not empty, because a query can't express those. */
const queryMessage: fc.Arbitrary<JsonObject> = fc
  .tuple(messageFrom(leaves), fc.option(messageFrom(leaves)), text)
  .map(([message, nested, filler]) =>
    nested ? { ...message, nested: { ...nested, optionalValue: filler } } : message,
  );

const bodyMessage: fc.Arbitrary<JsonObject> = fc
  .tuple(messageFrom({ ...leaves, ...branches }), fc.option(messageFrom({ ...leaves, ...branches })))
  .map(([message, nested]) => (nested ? { ...message, nested } : message));

/** Fields that a variable can bind, by proto name. */
const texts = ["string_value", "optional_value", "renamed", "oneof_string_value", "nested.string_value"];
const others: Values = {
  int64_value: int64,
  sint32_value: int32,
  uint64_value: uint64,
  bool_value: fc.boolean(),
  double_value: double,
  enum_value: enumName,
  "nested.int32_value": int32,
  "nested.nested.bool_value": fc.boolean(),
};

const literal = fc.oneof(
  fc.constantFrom("v1", "shelves", "a.b", "~x", "%2A", "%25", "%20", "%C3%A9", "%3A", "%2F"),
  fc.stringMatching(/^[A-Za-z0-9_-]{1,4}$/),
);
const isSegment = (value: string) => value !== "" && value !== "." && value !== ".." && !value.includes("\0");
/** The value of a single `*` may have slashes. */
const anySegment = text.filter(isSegment);
const segment = text.filter((value) => isSegment(value) && !value.includes("/"));

/** A part of a template, and the value that it binds. */
interface Part {
  readonly template: string;
  readonly bound?: { readonly path: string; readonly value: JsonValue };
}

function variable(path: string): fc.Arbitrary<Part> {
  const other = others[path];
  const make = (pattern: string, value: JsonValue): Part => ({
    template: `{${path}${pattern}}`,
    bound: { path, value },
  });
  if (other) return other.map((value) => make("", value));
  const single = fc
    .tuple(fc.constantFrom("", "=*"), anySegment)
    .map(([pattern, value]) => make(pattern, value));
  const piece = fc.oneof(
    segment.map((value) => ["*", value] as const),
    literal
      .filter((value) => !value.includes("%2F"))
      .map((value) => [value, decodeURIComponent(value)] as const),
  );
  const many = fc
    .array(piece, { minLength: 2, maxLength: 3 })
    .map((pieces) =>
      make(`=${pieces.map(([pattern]) => pattern).join("/")}`, pieces.map(([, value]) => value).join("/")),
    );
  return fc.oneof(single, many);
}

/** The last part of a template, which matches all remaining segments. */
function restOf(path: string): fc.Arbitrary<Part> {
  return fc.tuple(fc.boolean(), fc.array(segment, { maxLength: 3 })).map(([hasPrefix, values]) => ({
    template: `{${path}=${hasPrefix ? "o/**" : "**"}}`,
    bound: { path, value: [...(hasPrefix ? ["o"] : []), ...values].join("/") },
  }));
}

const plain: fc.Arbitrary<Part> = fc.oneof(literal, fc.constant("*")).map((template): Part => ({ template }));

const parts: fc.Arbitrary<readonly Part[]> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...texts.slice(1), ...Object.keys(others)), { maxLength: 3 }),
    fc.array(plain, { maxLength: 2 }),
    fc.oneof(fc.constant(undefined), fc.constant("**"), fc.constant("string_value")),
  )
  .chain(([paths, literals, last]) => {
    const rest =
      last === undefined ? [] : [last === "**" ? fc.constant<Part>({ template: "**" }) : restOf(last)];
    const front = [...paths.map(variable), ...literals.map((part) => fc.constant(part))];
    return fc
      .shuffledSubarray(front, { minLength: front.length })
      .chain((ordered) => fc.tuple(...ordered, ...rest));
  });

const bodies = ["nested", "stringList", "messageList", "stringMap", "structValue", "int64Value", "timestamp"];
const protoName = (jsonName: string) => jsonName.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const pattern = fc.constantFrom("get", "put", "post", "delete", "patch", "custom");

/** A binding with a path that no other binding of the rule has. */
function sample(index: number): fc.Arbitrary<Sample> {
  return fc
    .tuple(
      pattern,
      parts,
      fc.option(fc.constantFrom("verb", "%2A", "a.b"), { nil: "" }),
      fc.constantFrom("", "*", ...bodies),
      queryMessage,
      bodyMessage,
    )
    .map(([kind, made, verb, wanted, inQuery, inBody]) => {
      const bound = made.flatMap((part) => part.bound ?? []);
      const body = bound.some(({ path }) => path === protoName(wanted)) ? "" : wanted;
      const path = `/r${index}${made.map(({ template }) => `/${template}`).join("")}${verb && `:${verb}`}`;
      const message: JsonObject = structuredClone(body === "*" ? inBody : inQuery);
      if (body !== "" && body !== "*") {
        delete message[body];
        if (inBody[body] !== undefined) message[body] = structuredClone(inBody[body]);
      }
      for (const { path, value } of bound) setAt(message, path, value);
      const of: JsonObject = kind === "custom" ? { custom: { kind: "MOVE", path } } : { [kind]: path };
      return { rule: { ...of, body: body === "*" ? body : protoName(body) }, message };
    });
}

function setAt(message: JsonObject, path: string, value: JsonValue): void {
  const names = path.split(".").map(jsonName);
  let parent = message;
  for (const name of names.slice(0, -1)) {
    parent[name] ??= {};
    parent = parent[name] as JsonObject;
  }
  const last = names.at(-1) ?? "";
  if (last.startsWith("oneof")) for (const choice of Object.keys(choices)) delete parent[choice];
  parent[last] = value;
}

function jsonName(name: string): string {
  return name === "renamed"
    ? "custom-kebab"
    : name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

/** The bindings of a rule, and the index of one of them. */
const samples = fc
  .integer({ min: 1, max: 3 })
  .chain((count) =>
    fc.tuple(fc.tuple(...Array.from({ length: count }, (_, i) => sample(i))), fc.nat({ max: count - 1 })),
  );

describe("a message encoded by a rule", () => {
  it("is bound to the same message, with either names in the query", () => {
    fc.assert(
      fc.property(samples, fc.constantFrom("json", "proto"), ([all, index], spelling) => {
        const [first, ...further] = all.map(({ rule }) => rule);
        const rule = { ...first, additionalBindings: further };
        const { methods } = serviceWithRules({ One: rule });
        const method = methods[0] as DescMethod;
        const option = getOption(method, http);
        const binding = [option, ...option.additionalBindings][index]!;
        const message = fromJson(method.input, all[index]!.message);

        const sent = encodeRequest(method, binding, message, spelling);
        const found = createRestRouter(methods).find(sent.method, sent.path);

        if (found.kind !== "match") throw new Error(`${sent.method} ${sent.path} is ${found.kind}`);
        const hasBody = sent.body !== undefined;
        const body = hasBody ? Buffer.from(JSON.stringify(sent.body)) : new Uint8Array();
        const bound = bindRequest(found, sent.query, hasBody ? "application/json" : null, body);
        expect(jsonOf(method.input, bound)).toEqual(jsonOf(method.input, message));
      }),
      { numRuns: 400 },
    );
  });
});
