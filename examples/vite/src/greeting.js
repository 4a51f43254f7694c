export const greeting = (who) => `Hello from ${who} that Vite has built.`;
