//go:build linux

package contest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/edgecache-go/edgecache/bench/internal/load"
)

// Contestant is one server in the race.
type Contestant struct {
	Name       string
	Conditions bool                // it answers If-None-Match from what it stores
	H2C        bool                // it speaks HTTP/2 without TLS
	Purge      func(*load.Request) // makes the request one that purges its target; nil if the server cannot
	start      func(dir string, l Load) (*server, error)
	version    func() (string, error) // an error if it is not installed
}

// Contestants in the order of the tables. The first one is what the others are compared with.
func Contestants() []Contestant {
	method := func(r *load.Request) { r.Method = "PURGE" }
	header := func(r *load.Request) { r.Name, r.Value = "x-purge", "1" }
	return []Contestant{
		{Name: "bare", Conditions: true, H2C: true, start: child("bare"), version: goVersion},
		{Name: "edgecache", Conditions: true, H2C: true, Purge: method, start: child("edgecache"), version: goVersion},
		{Name: "nginx", Conditions: true, H2C: true, start: startNginx, version: printed("nginx", "-v", `nginx/(\S+)`)},
		{Name: "varnish", Conditions: true, H2C: true, Purge: method, start: startVarnish, version: printed("varnishd", "-V", `varnish-(\S+)`)},
		{Name: "fiber", Purge: header, start: child("fiber"), version: moduleVersion("github.com/gofiber/fiber/v3")},
	}
}

// Version says which version runs here; ok is false if it is not installed.
func (c Contestant) Version() (version string, ok bool) {
	v, err := c.version()
	return v, err == nil
}

func goVersion() (string, error) { return runtime.Version(), nil }

func moduleVersion(path string) func() (string, error) {
	return func() (string, error) {
		info, ok := debug.ReadBuildInfo()
		if !ok {
			return "", errors.New("bench: built without module information")
		}
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version + ", " + runtime.Version(), nil
			}
		}
		return "", fmt.Errorf("bench: built without %s", path)
	}
}

// printed runs a program and finds its version in what it prints.
func printed(program, argument, pattern string) func() (string, error) {
	expression := regexp.MustCompile(pattern)
	return func() (string, error) {
		path, err := lookPath(program)
		if err != nil {
			return "", err
		}
		text, err := exec.Command(path, argument).CombinedOutput()
		if err != nil {
			return "", err
		}
		if found := expression.FindSubmatch(text); found != nil {
			return string(found[1]), nil
		}
		return "", fmt.Errorf("bench: %s says %q", program, text)
	}
}

// lookPath also looks where Debian puts servers, which is in no user's PATH.
func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return exec.LookPath("/usr/sbin/" + program)
	}
	return path, nil
}

// server is a contestant that runs.
type server struct {
	addr   map[load.Protocol]netip.AddrPort
	origin netip.AddrPort // of the site, which counts its runs
	roots  []int          // processes, with all below them
	files  string         // folder of what it stores outside of its processes' memory
	stop   []func()       // last first
}

func (s *server) close() {
	for i := len(s.stop) - 1; i >= 0; i-- {
		s.stop[i]()
	}
}

func (s *server) tree() (all tree, err error) {
	for _, root := range s.roots {
		t, err := treeOf(root)
		if err != nil {
			return nil, err
		}
		all = append(all, t...)
	}
	return all, nil
}

// made asks how often the handler has run.
func (s *server) made() (uint64, error) {
	text, err := get("http://" + s.origin.String() + madePath)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

func get(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return string(text), err
}

// child starts this very program as a server.
func child(name string) func(string, Load) (*server, error) {
	return func(_ string, l Load) (*server, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self, "-serve", name, "-load", l.Name)
		in, err := cmd.StdinPipe() // it ends when this is closed, also because we have died
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		s := &server{roots: []int{cmd.Process.Pid}, stop: []func(){func() {
			_ = in.Close() // a child that has ended has closed it
			end(cmd)
		}}}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			s.close()
			return nil, fmt.Errorf("bench: %s did not say where it listens: %w", name, err)
		}
		addr, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err != nil {
			s.close()
			return nil, err
		}
		s.origin = addr
		s.addr = map[load.Protocol]netip.AddrPort{load.HTTP1: addr, load.H2C: addr}
		return s, nil
	}
}

// end waits for a process that was told to end, and kills it if it does not.
func end(cmd *exec.Cmd) {
	timer := time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // how a server ends that was told to is of no interest
}

// behind starts the site as a process of its own, for servers that cannot run it.
func behind(l Load) (*server, error) { return child("origin")(os.TempDir(), l) }

// foreign runs a program in front of the site until the server is closed, and waits until it answers.
func foreign(site *server, addr map[load.Protocol]netip.AddrPort, name string, args ...string) (*server, error) {
	path, err := lookPath(name)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{addr: addr, origin: site.origin, roots: append([]int{cmd.Process.Pid}, site.roots...)}
	s.stop = append(append(s.stop, site.stop...), func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		end(cmd)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		if _, err := get("http://" + addr[load.HTTP1].String() + "/-/made"); err == nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			s.close()
			return nil, fmt.Errorf("bench: %s does not answer; it said: %s", name, said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freePorts returns loopback ports that are free now.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before all are found, or they would be the same
		ports[i] = int(netip.MustParseAddrPort(l.Addr().String()).Port())
	}
	return ports, nil
}

func loopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// nginxConfig is a cache on a file system in memory, with one worker per core, and what its manual advises for speed: but for
// tcp_nopush, which on loopback, where a segment has 64 KiB, makes pages a little larger than one wait 40 ms for an acknowledgement.
const nginxConfig = `
daemon off;
worker_processes %[1]d;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log warn;
%[8]s
events { worker_connections 8192; multi_accept on; }
http {
	access_log off;
	sendfile on;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path %[2]s/body;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	proxy_temp_path %[2]s/proxy;
	proxy_cache_path %[2]s/cache levels=1:2 keys_zone=pages:64m max_size=%[7]d inactive=1h use_temp_path=off;
	open_file_cache max=100000 inactive=1h;
	upstream site { server %[3]s; keepalive 512; keepalive_requests 1000000000; }
	server {
		listen 127.0.0.1:%[4]d backlog=4096;
		listen 127.0.0.1:%[5]d http2 backlog=4096;
		server_name %[6]s;
		http2_max_concurrent_streams 1024;
		location / {
			proxy_pass http://site;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_cache pages;
			proxy_cache_lock on;
			proxy_cache_key $scheme$host$request_uri;
			add_header X-Cache $upstream_cache_status;
		}
	}
}
`

func startNginx(dir string, l Load) (*server, error) {
	site, err := behind(l)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "cache"), 0o700)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // so that its workers may enter the folder
	}
	config := filepath.Join(dir, "nginx.conf")
	if err == nil {
		err = os.WriteFile(config, fmt.Appendf(nil, nginxConfig, runtime.NumCPU(), dir, site.origin, ports[0], ports[1], host, budget, user), 0o600)
	}
	if err != nil {
		site.close()
		return nil, err
	}
	addr := map[load.Protocol]netip.AddrPort{load.HTTP1: loopback(ports[0]), load.H2C: loopback(ports[1])}
	s, err := foreign(site, addr, "nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config)
	if err != nil {
		site.close()
		return nil, err
	}
	s.files = filepath.Join(dir, "cache")
	return s, nil
}

// varnishConfig adds to the built-in VCL that PURGE purges.
const varnishConfig = `
vcl 4.1;
backend site { .host = "127.0.0.1"; .port = "%d"; }
sub vcl_recv {
	if (req.method == "PURGE") { return (purge); }
}
sub vcl_synth {
	if (resp.status == 200) { set resp.http.Content-Type = "text/plain"; set resp.body = "purged"; return (deliver); }
}
sub vcl_deliver {
	if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; }
}
`

func startVarnish(dir string, l Load) (*server, error) {
	site, err := behind(l)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	config := filepath.Join(dir, "site.vcl")
	if err == nil {
		err = os.WriteFile(config, fmt.Appendf(nil, varnishConfig, site.origin.Port()), 0o600)
	}
	if err != nil {
		site.close()
		return nil, err
	}
	addr := map[load.Protocol]netip.AddrPort{load.HTTP1: loopback(ports[0]), load.H2C: loopback(ports[0])}
	s, err := foreign(site, addr, "varnishd", "-F", "-j", "none", "-n", filepath.Join(dir, "varnish"), "-f", config,
		"-a", loopback(ports[0]).String(), "-s", fmt.Sprintf("malloc,%d", budget), "-T", "none",
		"-p", "feature=+http2", "-p", fmt.Sprintf("thread_pools=%d", runtime.NumCPU()), "-p", "timeout_idle=3600")
	if err != nil {
		site.close()
		return nil, err
	}
	return s, nil
}
