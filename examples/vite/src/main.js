import "./main.css";
import logo from "./logo.svg";
import { greeting } from "./greeting.js";

document.querySelector("#logo").src = logo;
document.querySelector("#greeting").textContent = greeting("an entry");
// A chunk of its own, fetched when it is needed.
const { count } = await import("./count.js");
document.querySelector("#count").textContent = count();
