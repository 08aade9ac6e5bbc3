import { predicted } from "./program.js";

console.log(await predicted(process.argv[2]));
