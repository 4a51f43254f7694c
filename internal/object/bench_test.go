package object

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgecache-go/edgecache/internal/frame"
	"github.com/edgecache-go/edgecache/internal/rules"
)

// BenchmarkHit runs this package's steps of a hit.
func BenchmarkHit(b *testing.B) {
	now := time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	fields := http.Header{
		"Content-Type": {"text/html; charset=utf-8"}, "Cache-Control": {"max-age=3600"}, "Date": {now.Format(http.TimeFormat)},
		"Last-Modified": {now.Format(http.TimeFormat)}, "Etag": {`"0123456789abcdef01234567"`},
	}
	page := func(size int) Object {
		d := Draft{Status: http.StatusOK, Header: fields, Body: NewBody(bytes.Repeat([]byte("x"), size))}
		return d.Seal()
	}
	small := page(1 << 10)
	b.Run("header", func(b *testing.B) {
		dst := make(http.Header, 16)
		b.ReportAllocs()
		for b.Loop() {
			clear(dst)
			small.CopyHeader(dst, 3)
		}
	})
	for _, name := range []string{"If-None-Match", "If-Modified-Since"} {
		h := http.Header{name: {fields.Get("Etag")}}
		if name == "If-Modified-Since" {
			h.Set(name, fields.Get("Last-Modified"))
		}
		b.Run("condition/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := small.Condition(h, now); got != rules.Unmodified {
					b.Fatal(got)
				}
			}
		})
	}
	for _, size := range []int{1 << 10, 64 << 10} {
		o := page(size)
		b.Run("body/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = o.Body.WriteTo(io.Discard)
			}
		})
	}
}

// BenchmarkCodec is what a value of a store costs with a key, and without. MB/s are of the body.
func BenchmarkCodec(b *testing.B) {
	o := options()
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		r := record(stored(b, o, 200, http.Header{"Content-Type": {"text/html"}}, strings.Repeat("x", size)))
		for _, row := range []struct {
			name   string
			sealer frame.Sealer
		}{{"checksum", frame.Sealer{}}, {"HMAC", frame.NewSealer(make([]byte, 32))}} {
			c := NewCodec(&o, row.sealer)
			value, _ := c.Append(nil, "name", r, start)
			at := row.name + "/" + strconv.Itoa(size>>10) + "KiB"
			b.Run("Append/"+at, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_, _ = c.Append(nil, "name", r, start)
				}
			})
			b.Run("Decode/"+at, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Decode(value, "name", start); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
