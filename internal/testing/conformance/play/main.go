// Play plays the cases of http-tests/cache-tests against a running cache, over TCP and in real time
// (under half a minute). It is the client in front of the cache and the origin behind it; the cache
// must forward to -listen:
//
//	go run ./internal/testing/conformance/play -cache http://127.0.0.1:8081 -listen 127.0.0.1:8000
//
// It prints what was not passed and the totals. -run picks one case and those that it depends on.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"

	"github.com/edgecache-go/edgecache/internal/testing/conformance"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run plays until all cases have ended or ctx is done.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("play", flag.ContinueOnError)
	cache := flags.String("cache", "http://127.0.0.1:8081", "`URL` of the cache, without a path")
	listen := flags.String("listen", "127.0.0.1:8000", "`address` of the origin, to which the cache forwards")
	cases := flags.String("cases", "", "case `file`; default: $EDGECACHE_CACHE_TESTS, else ../shared/cache-tests/tests.json")
	only := flags.String("run", "", "play the case with this `ID`, and those that it depends on")
	parallel := flags.Int("parallel", 50, "cases at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client, err := newClient(*cache)
	if err != nil {
		return err
	}
	suite, err := load(*cases, *only)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	origin := conformance.NewOrigin()
	served := make(chan error, 1)
	go func() { served <- origin.Serve(l) }()

	results := suite.Play(ctx, origin, client, *parallel)
	if err := errors.Join(l.Close(), <-served, ctx.Err()); err != nil {
		return err
	}
	for _, o := range results.Outcomes {
		if o.Verdict != conformance.Passed {
			fmt.Fprintf(out, "%-8s %-8v %s: %s\n", o.Case.Kind, o.Verdict, o.Case.ID, o.Reason)
		}
	}
	for _, kind := range []conformance.Kind{conformance.Required, conformance.Optimal, conformance.Check} {
		t := results.Tally(kind)
		fmt.Fprintf(out, "%s: %d of %d passed, %d failed, %d without verdict\n", kind, t.Passed, t.Total(), t.Failed, t.NoVerdict)
	}
	return nil
}

func load(path, only string) (*conformance.Suite, error) {
	if path == "" {
		var err error
		if path, err = conformance.CaseFile(".."); err != nil {
			return nil, err
		}
	}
	suite, err := conformance.LoadFile(path)
	if err != nil || only == "" {
		return suite, err
	}
	return suite.Only(only)
}

func newClient(cache string) (*conformance.Client, error) {
	u, err := url.Parse(cache)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("play: -cache is %q: want http://host:port or https://host:port", cache)
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme // a name that the dialer knows
	}
	address := net.JoinHostPort(u.Hostname(), port)
	dial := func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }
	if u.Scheme == "https" {
		dial = func(ctx context.Context) (net.Conn, error) { return new(tls.Dialer).DialContext(ctx, "tcp", address) }
	}
	return &conformance.Client{Dial: dial, Host: u.Host}, nil
}
