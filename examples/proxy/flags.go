package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/edgecache-go/edgecache"
)

// grace is how long running requests may take after the signal to stop.
const grace = 10 * time.Second

func parse() (cfg edgecache.Config, origin *url.URL, listen string) {
	flag.StringVar(&listen, "listen", "127.0.0.1:8081", "`address` to listen on; port 0 takes a free one")
	originFlag := flag.String("origin", "http://127.0.0.1:8080", "scheme and host of the origin, as a `URL`")
	literal := flag.Bool("rfc-literal", false, "cache as RFC 9111 allows: share responses made for a cookie, store Set-Cookie, obey\nclients' Cache-Control, and do not store pages that say nothing. For measuring, not for users")
	flag.Parse()
	if flag.NArg() > 0 {
		usage("%q is not a flag: want flags only", flag.Arg(0))
	}
	if _, _, err := net.SplitHostPort(listen); err != nil {
		usage("-listen is %q: want host:port such as 127.0.0.1:8081", listen)
	}
	origin, err := parseOrigin(*originFlag)
	if err != nil {
		usage("-origin is %q: %v", *originFlag, err)
	}
	return edgecache.Config{
		ExplicitOnly: *literal, HonorRequestDirectives: *literal, InsecureShareCookies: *literal, InsecureStoreSetCookie: *literal,
	}, origin, listen
}

func parseOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("want a URL such as http://127.0.0.1:8080")
	case u.User != nil:
		return nil, errors.New("want it without a user: the edge would log in as that user for all clients")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want scheme and host only: the paths of edge and origin are the same")
	}
	return u, nil
}

func usage(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "proxy: "+format+"\n", args...)
	flag.Usage()
	os.Exit(2)
}

// serve runs until SIGINT or SIGTERM. Then running requests may finish; a second signal ends them.
func serve(listen string, h http.Handler) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		log.Fatalf("%v\nIf the port is taken, choose another one with -listen; 127.0.0.1:0 takes any free one.", err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ctx.Done():
	}
	stop()
	fmt.Printf("stopping: running requests have %v to finish\n", grace)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Fatalf("cut off after %v: %v", grace, err)
	}
}
