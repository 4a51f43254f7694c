const e=t=>`Hello from ${t} that Vite has built.`;export{e as g};
