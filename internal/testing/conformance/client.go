package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of the client: those of the suite's own, and enough to end a loop.
const (
	requestTimeout = 10 * time.Second
	maxRedirects   = 20
	maxInterim     = 20
)

// Client shows what is on the wire. It does not use net/http's client, which has its own rules for
// Transfer-Encoding, Pragma and retries.
type Client struct {
	Dial func(ctx context.Context) (net.Conn, error)
	Host string // as sent in Host
}

// visit is what a client does in one case. Every request has a connection of its own, and all stay
// open until close, like those of the suite's own client: a cache may think that a client which
// hangs up does not want the response.
type visit struct {
	client *Client
	conns  []net.Conn
}

func (v *visit) close() {
	for _, c := range v.conns {
		_ = c.Close()
	}
}

// response is what a client receives.
type response struct {
	status  int
	header  http.Header
	interim []Interim
	body    string
	bodyErr error // the body ended before it was whole
}

// get returns all lines of a field as one value.
func (p *response) get(name string) (string, bool) {
	v := p.header.Values(name)
	return strings.Join(v, ", "), len(v) > 0
}

// fetch sends one request and follows redirects as mode says.
func (v *visit) fetch(ctx context.Context, method, target string, header []line, body, mode string) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for range maxRedirects {
		p, err := v.roundTrip(ctx, method, target, header, body)
		if err != nil {
			return nil, err
		}
		location, ok := p.get("Location")
		if !ok || mode == "manual" || !slices.Contains([]int{301, 302, 303, 307, 308}, p.status) {
			return p, nil
		}
		if mode == "error" {
			return nil, fmt.Errorf("redirected to %s", location)
		}
		base, err := url.Parse(target)
		if err != nil {
			return nil, err
		}
		next, err := base.Parse(location)
		if err != nil {
			return nil, err
		}
		if p.status == http.StatusSeeOther || p.status < 303 && method == http.MethodPost {
			method, body = http.MethodGet, ""
		}
		target = next.RequestURI()
	}
	return nil, errors.New("too many redirects")
}

func (v *visit) roundTrip(ctx context.Context, method, target string, header []line, body string) (*response, error) {
	conn, err := v.client.Dial(ctx)
	if err != nil {
		return nil, err
	}
	v.conns = append(v.conns, conn)
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if _, err := io.WriteString(conn, v.client.message(method, target, header, body)); err != nil {
		return nil, err
	}
	return readResponse(bufio.NewReader(conn), method)
}

func (c *Client) message(method, target string, header []line, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\nUser-Agent: edgecache-conformance\r\n", method, target, c.Host)
	var names []string
	for _, l := range header { // lines of one field are sent as one, as fetch() does
		if lower := strings.ToLower(l.name); !slices.Contains(names, lower) {
			names = append(names, lower)
			fmt.Fprintf(&b, "%s: %s\r\n", l.name, joined(header, l.name))
		}
	}
	if body != "" || method == http.MethodPost || method == http.MethodPut {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
		if body != "" && !slices.Contains(names, "content-type") {
			b.WriteString("Content-Type: text/plain;charset=UTF-8\r\n")
		}
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return b.String()
}

func readResponse(br *bufio.Reader, method string) (*response, error) {
	p := new(response)
	for len(p.interim) <= maxInterim {
		status, header, err := readHead(br)
		if err != nil {
			return nil, err
		}
		if status >= 200 {
			p.status, p.header = status, header
			p.body, p.bodyErr = readBody(br, method, status, header)
			return p, nil
		}
		in := Interim{Status: status}
		for name, values := range header {
			in.header = append(in.header, line{name, strings.Join(values, ", ")})
		}
		p.interim = append(p.interim, in)
	}
	return nil, errors.New("too many interim responses")
}

func readHead(br *bufio.Reader) (int, http.Header, error) {
	tp := textproto.NewReader(br)
	first, err := tp.ReadLine()
	if err != nil {
		return 0, nil, err
	}
	_, rest, _ := strings.Cut(first, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || !strings.HasPrefix(first, "HTTP/1.") {
		return 0, nil, fmt.Errorf("malformed status line %q", first)
	}
	header, err := tp.ReadMIMEHeader()
	return status, http.Header(header), err
}

func readBody(br *bufio.Reader, method string, status int, header http.Header) (string, error) {
	if method == http.MethodHead || bodiless(status) {
		return "", nil
	}
	var src io.Reader = io.LimitReader(br, maxBody)
	length := -1
	if coding := strings.ToLower(strings.Join(header.Values("Transfer-Encoding"), ",")); coding != "" {
		if coding == "chunked" || strings.HasSuffix(strings.ReplaceAll(coding, " ", ""), ",chunked") {
			src = httputil.NewChunkedReader(src)
		}
	} else if declared := header.Get("Content-Length"); declared != "" {
		n, err := strconv.Atoi(declared)
		if err != nil || n < 0 || n > maxBody {
			return "", fmt.Errorf("malformed Content-Length %q", declared)
		}
		length, src = n, io.LimitReader(br, int64(n))
	}
	body, err := io.ReadAll(src)
	if err == nil && length >= 0 && len(body) < length {
		err = fmt.Errorf("body of %d bytes ended after %d", length, len(body))
	}
	return string(body), err
}
