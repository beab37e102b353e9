import { describe, expect, it } from "vitest";
import { type Comment, parseComment } from "../../../src/wire/openapi/comment.ts";

describe("a comment of a proto element", () => {
  it.each<[string, string, Partial<Comment>]>([
    ["nothing", "", { summary: "", description: "", text: "", example: undefined, characters: undefined }],
    ["one paragraph", "The id\nof the user.", { summary: "The id of the user.", description: "" }],
    ["several paragraphs", "Add\n\nAdds it.\n\nOnce.", { summary: "Add", description: "Adds it.\n\nOnce." }],
    ["a list", "One of\n- a\n- b", { summary: "One of\n- a\n- b" }],
    ["code", "So:\n    x = 1\n    y = 2", { summary: "So:\n    x = 1\n    y = 2" }],
    ["an example", 'The id.\n\nExample: "1"', { text: "The id.", example: "1" }],
    ["an example in lines", 'It.\n\nExample: {"a": 1,\n"b": 2}', { text: "It.", example: { a: 1, b: 2 } }],
    ["an example alone", "Example: false", { text: "", example: false }],
    ["an example of people", "For Example: this.", { text: "For Example: this.", example: undefined }],
    ["limits", "The id, 1 to 200 characters.", { characters: { min: 1, max: 200 } }],
    ["limits in two lines", "The id, 1 to 200\ncharacters, or none.", { characters: { min: 1, max: 200 } }],
    ["a length that is no limit", "The code: 8 characters.", { characters: undefined }],
    ["limits in an example", 'It.\n\nExample: "1 to 2 characters"', { characters: undefined }],
  ])("%s", (_name, comment, expected) => {
    expect(parseComment("x.Y.z", comment)).toMatchObject(expected);
  });

  it.each([
    ["an example that is not JSON", "The id.\n\nExample: demo-user", "the example of x.Y.z is not JSON"],
    [
      "two limits",
      "1 to 2 characters, or 5 to 6 characters",
      "the comment of x.Y.z gives its characters twice",
    ],
  ])("%s is an error at start", (_name, comment, message) => {
    expect(() => parseComment("x.Y.z", comment)).toThrow(message);
  });
});
