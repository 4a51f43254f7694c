import{g as e}from"./greeting-Db4kpmrS.js";const l=()=>`${e("a chunk").replace("Hello","And hello")}`;export{l as count};
