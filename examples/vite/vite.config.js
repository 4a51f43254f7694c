import { defineConfig } from "vite";

export default defineConfig({
	base: "/static/",
	build: {
		assetsInlineLimit: 0,
		manifest: true,
		outDir: "dist",
		rollupOptions: { input: "src/main.js" },
	},
});
