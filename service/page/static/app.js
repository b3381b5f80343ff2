import "./timbre.js";
