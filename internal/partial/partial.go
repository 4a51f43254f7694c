// Package partial writes what 206 and 416 responses say about byte ranges: the values of
// Content-Range, and bodies of several parts whose length is known before they are sent.
package partial

import (
	"io"
	"mime/multipart"
	"net/textproto"
	"strconv"

	"github.com/edgecache-go/edgecache/internal/field"
)

// ContentRange is the value of Content-Range for one part of a representation of size bytes
// (RFC 9110, 14.4).
func ContentRange(part field.Range, size int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, part.Start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, part.Start+part.Length-1, 10)
	b = append(b, '/')
	b = strconv.AppendInt(b, size, 10)
	return string(b)
}

// Unsatisfied is the value of Content-Range in a 416 (RFC 9110, 15.5.17).
func Unsatisfied(size int64) string { return "bytes */" + strconv.FormatInt(size, 10) }

// Body is a body of several parts, in the form multipart/byteranges (RFC 9110, 14.6).
type Body struct {
	// ContentType and Length are the header fields of the response: Content-Type, and
	// Content-Length in bytes.
	ContentType string
	Length      int64

	parts    []field.Range
	headers  []textproto.MIMEHeader // of parts
	boundary string
}

// NewBody returns the body that has these parts of a representation of size bytes. contentType is
// the Content-Type of that representation, "" if it has none. The parts lie inside the
// representation, and are not changed afterwards.
func NewBody(parts []field.Range, size int64, contentType string) *Body {
	contentType = field.OneLine(contentType) // mime/multipart writes it as it is
	b := &Body{parts: parts, headers: make([]textproto.MIMEHeader, len(parts))}
	for i, part := range parts {
		b.headers[i] = textproto.MIMEHeader{"Content-Range": {ContentRange(part, size)}}
		if contentType != "" {
			b.headers[i]["Content-Type"] = []string{contentType}
		}
		b.Length += part.Length
	}
	var around counter
	w := multipart.NewWriter(&around)
	b.boundary = w.Boundary()
	_ = b.write(w, func(io.Writer, field.Range) error { return nil }) // a counter takes everything
	b.Length += int64(around)
	b.ContentType = "multipart/byteranges; boundary=" + b.boundary
	return b
}

// Write writes the body to w. send writes the bytes of one part; it is called for each, in order.
// The first error ends the body and is returned.
func (b *Body) Write(w io.Writer, send func(w io.Writer, part field.Range) error) error {
	m := multipart.NewWriter(w)
	if err := m.SetBoundary(b.boundary); err != nil {
		return err
	}
	return b.write(m, send)
}

func (b *Body) write(w *multipart.Writer, send func(w io.Writer, part field.Range) error) error {
	for i, part := range b.parts {
		to, err := w.CreatePart(b.headers[i])
		if err != nil {
			return err
		}
		if err := send(to, part); err != nil {
			return err
		}
	}
	return w.Close()
}

// counter is a writer that only counts.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
