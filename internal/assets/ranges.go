package assets

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/coding"
	"github.com/edgecache-go/edgecache/internal/field"
	"github.com/edgecache-go/edgecache/internal/partial"
)

// deliverParts sends one range (RFC 9110, 15.3.7.1) or several (15.3.7.2).
func (a *exchange) deliverParts(asset *Asset, control string, judge func(bool) Verdict, parts []field.Range) bool {
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
		h["Content-Range"] = put(&values, partial.ContentRange(parts[0], asset.size))
		h["Content-Length"] = put(&values, strconv.FormatInt(parts[0].Length, 10))
		a.w.WriteHeader(http.StatusPartialContent)
		_ = body.send(a.w, parts[0].Start, parts[0].Length)
		return true
	}
	many := partial.NewBody(parts, asset.size, asset.Type)
	h["Content-Type"] = put(&values, many.ContentType)
	h["Content-Length"] = put(&values, strconv.FormatInt(many.Length, 10))
	a.w.WriteHeader(http.StatusPartialContent)
	_ = many.Write(a.w, func(w io.Writer, part field.Range) error { return body.send(w, part.Start, part.Length) })
	return true
}

// inOnePass sorts ranges and merges those that overlap, for a file that can only be read from its
// start: an entry of an archive is unpacked once for each request, not once for each range.
//
// Deviation: parts should come in the order of the request (RFC 9110, 15.3.7.2).
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
