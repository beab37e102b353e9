import { describe, expect, it } from "vitest";
import { type Comment, parseComment } from "../../../src/wire/openapi/comment.ts";

describe("parseComment", () => {
  it.each<[string, string, Partial<Comment>]>([
    [
      "reads an empty comment",
      "",
      { summary: "", description: "", text: "", example: undefined, characters: undefined },
    ],
    [
      "joins the lines of a paragraph",
      "The id\nof the user.",
      { summary: "The id of the user.", description: "" },
    ],
    [
      "splits summary and description",
      "Add\n\nAdds it.\n\nOnce.",
      { summary: "Add", description: "Adds it.\n\nOnce." },
    ],
    ["keeps the lines of a list", "One of\n- a\n- b", { summary: "One of\n- a\n- b" }],
    ["keeps the lines of code", "So:\n    x = 1\n    y = 2", { summary: "So:\n    x = 1\n    y = 2" }],
    ["reads an example", 'The id.\n\nExample: "1"', { text: "The id.", example: "1" }],
    [
      "reads an example of several lines",
      'It.\n\nExample: {"a": 1,\n"b": 2}',
      { text: "It.", example: { a: 1, b: 2 } },
    ],
    ["reads an example without text", "Example: false", { text: "", example: false }],
    [
      "ignores an example in a sentence",
      "For Example: this.",
      { text: "For Example: this.", example: undefined },
    ],
    ["reads a length", "The id, 1 to 200 characters.", { characters: { min: 1, max: 200 } }],
    [
      "reads a length across lines",
      "The id, 1 to 200\ncharacters, or none.",
      { characters: { min: 1, max: 200 } },
    ],
    ["ignores a fixed length", "The code: 8 characters.", { characters: undefined }],
    ["ignores a length in an example", 'It.\n\nExample: "1 to 2 characters"', { characters: undefined }],
  ])("%s", (_name, comment, expected) => {
    expect(parseComment("x.Y.z", comment)).toMatchObject(expected);
  });

  it.each([
    ["an example that is not JSON", "The id.\n\nExample: demo-user", "the example of x.Y.z is not JSON"],
    ["two lengths", "1 to 2 characters, or 5 to 6 characters", "the comment of x.Y.z has two lengths"],
  ])("rejects %s", (_name, comment, message) => {
    expect(() => parseComment("x.Y.z", comment)).toThrow(message);
  });
});
