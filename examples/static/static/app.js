import { greeting } from "./greeting.js"; // found by the import map under its hashed URL

document.querySelector("#greeting").textContent = greeting("module");
