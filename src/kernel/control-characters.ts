/** Characters that are no text but orders to whatever shows it, and the line ends of Unicode. */
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
export const controlCharacters = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
