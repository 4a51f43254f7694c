export const greeting = (who) => `Hello from a ${who} that your browser keeps for a year.`;
