package assets

import (
	"cmp"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
)

// parts answers with one range (RFC 9110, 15.3.7.1) or several (15.3.7.2).
func (a *answer) parts(asset *Asset, control string, judge func(bool) Verdict, parts []field.Range) bool {
	body, err := asset.open()
	if err != nil {
		return false
	}
	defer body.close()
	if !body.seeks() {
		parts = inOnePass(parts)
	}
	h := a.w.Header()
	values := a.header(h, asset, control, 11)
	h["X-Content-Type-Options"] = put(&values, "nosniff")
	h["Accept-Ranges"] = put(&values, "bytes")
	h["Etag"] = put(&values, asset.etag)
	delete(h, "Content-Encoding")
	if asset.media.encoding != "" {
		h["Content-Encoding"] = put(&values, asset.media.encoding)
	}
	a.set.options.Report(h, a.r, judge(asset.state.seen[coding.Identity].Swap(true)))
	if len(parts) == 1 {
		h["Content-Type"] = put(&values, asset.Type)
		h["Content-Range"] = put(&values, contentRange(parts[0], asset.length))
		h["Content-Length"] = put(&values, strconv.FormatInt(parts[0].Length, 10))
		a.w.WriteHeader(http.StatusPartialContent)
		_ = body.send(a.w, parts[0].Start, parts[0].Length)
		return true
	}
	write := func(to io.Writer, boundary string, send bool) (*multipart.Writer, error) {
		m := multipart.NewWriter(to)
		if boundary != "" {
			if err := m.SetBoundary(boundary); err != nil {
				return nil, err
			}
		}
		for _, part := range parts {
			pw, err := m.CreatePart(textproto.MIMEHeader{"Content-Range": {contentRange(part, asset.length)}, "Content-Type": {asset.Type}})
			if err == nil && send {
				err = body.send(pw, part.Start, part.Length)
			}
			if err != nil {
				return nil, err
			}
		}
		return m, m.Close()
	}
	// Once for the length of everything but the content, and once for real.
	var size counter
	m, err := write(&size, "", false)
	if err != nil {
		panic(http.ErrAbortHandler) // cannot be: a counter takes everything
	}
	for _, part := range parts {
		size += counter(part.Length)
	}
	h["Content-Type"] = put(&values, "multipart/byteranges; boundary="+m.Boundary())
	h["Content-Length"] = put(&values, strconv.FormatInt(int64(size), 10))
	a.w.WriteHeader(http.StatusPartialContent)
	_, _ = write(a.w, m.Boundary(), true)
	return true
}

// inOnePass sorts ranges and merges those that overlap, for a file that can only be read from its
// start: an entry of an archive is unpacked once for each request, not once for each range.
//
// Deviation: parts should come in the order in which they were asked for (RFC 9110, 15.3.7.2).
func inOnePass(parts []field.Range) []field.Range {
	slices.SortFunc(parts, func(a, b field.Range) int { return cmp.Compare(a.Start, b.Start) })
	merged := parts[:1]
	for _, next := range parts[1:] {
		if last := &merged[len(merged)-1]; next.Start < last.Start+last.Length {
			last.Length = max(last.Length, next.Start+next.Length-last.Start)
		} else {
			merged = append(merged, next)
		}
	}
	return merged
}

func contentRange(part field.Range, size string) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, part.Start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, part.Start+part.Length-1, 10)
	b = append(b, '/')
	return string(append(b, size...))
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
