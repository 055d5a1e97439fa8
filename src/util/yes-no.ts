/** Answers to questions that end in "[y/N]". */

/** Whether an answer is yes: "y" or "yes", in letters of any size. Every other one is no. */
export function isYes(answer: string): boolean {
  return /^\s*y(?:es)?\s*$/i.test(answer);
}
