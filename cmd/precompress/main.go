// Precompress puts brotli, zstd and gzip files beside static files, as small as possible, so that
// edgecache.Static need not make them while it serves:
//
//	go run github.com/edgecache-go/edgecache/cmd/precompress ./static
//
// Run it after every build, before the files are embedded. It keeps files that are still right, and
// replaces or removes the others.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/edgecache-go/edgecache/internal/assets"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("precompress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	options := assets.Options{Log: slog.New(slog.NewTextHandler(stderr, nil))}
	flags.StringVar(&options.Prefix, "prefix", "/static/", "`path` that the files are served below: references in stylesheets depend on it")
	flags.StringVar(&options.Base, "base", "", "`path` before that, of StaticOptions.BaseURL, such as /app")
	flags.StringVar(&options.ViteManifest, "vite", "", "Vite's manifest, as a `name` in the folder")
	flags.StringVar(&options.ESBuildMetafile, "esbuild", "", "esbuild's metafile, as a `name` in the folder")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: precompress [flags] folder")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	options.Base = strings.TrimSuffix(options.Base, "/")
	if flags.NArg() != 1 || !strings.HasPrefix(options.Prefix, "/") || !strings.HasSuffix(options.Prefix, "/") || options.Base != "" && options.Base[0] != '/' {
		flags.Usage()
		return 2
	}
	root, err := os.OpenRoot(flags.Arg(0))
	if err != nil {
		fmt.Fprintf(stderr, "precompress: %v\n", err)
		return 1
	}
	defer func() { _ = root.Close() }() // each file in it was closed already
	sidecars, err := assets.Precompress(root, options)
	for _, s := range sidecars {
		what := "kept"
		switch {
		case s.Written:
			what = "wrote"
		case s.Removed:
			what = "removed"
		}
		fmt.Fprintf(stdout, "%s %s (%d of %d bytes)\n", what, s.Name, s.Packed, s.Size)
	}
	if err != nil {
		fmt.Fprintf(stderr, "precompress: %v\n", err)
		return 1
	}
	return 0
}
