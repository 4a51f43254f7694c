import { greeting } from "./greeting.js";

export const count = () => `${greeting("a chunk").replace("Hello", "And hello")}`;
