package partial

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgecache-go/edgecache/internal/field"
)

func TestContentRange_RFC9110_14_4(t *testing.T) {
	for _, row := range []struct {
		part field.Range
		size int64
		want string
	}{
		{field.Range{Start: 0, Length: 1}, 1, "bytes 0-0/1"},
		{field.Range{Start: 42, Length: 1192}, 1234, "bytes 42-1233/1234"},
		{field.Range{Start: 1 << 62, Length: 1<<62 - 1}, 1<<63 - 1, "bytes 4611686018427387904-9223372036854775806/9223372036854775807"},
	} {
		if got := ContentRange(row.part, row.size); got != row.want {
			t.Errorf("%v of %d: got %q, want %q", row.part, row.size, got, row.want)
		}
	}
	if got := Unsatisfied(1234); got != "bytes */1234" {
		t.Errorf("a 416: got %q", got)
	}
}

const text = "0123456789"

func sendText(w io.Writer, part field.Range) error {
	_, err := io.WriteString(w, text[part.Start:part.Start+part.Length])
	return err
}

func TestBody_RFC9110_14_6(t *testing.T) {
	parts := []field.Range{{Start: 7, Length: 3}, {Start: 0, Length: 1}, {Start: 2, Length: 4}}
	for _, row := range []struct {
		name, contentType string
		want              []string // Content-Type of each part
	}{
		{"with a type", "text/plain; charset=utf-8", []string{"text/plain; charset=utf-8"}},
		{"without a type", "", nil},
		{"a type of two lines cannot add a field", "text/plain\r\nSet-Cookie: a=b", []string{"text/plain  Set-Cookie: a=b"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := NewBody(parts, int64(len(text)), row.contentType)
			var sent bytes.Buffer
			require.NoError(t, b.Write(&sent, sendText))
			require.EqualValues(t, sent.Len(), b.Length)

			mediaType, parameters, err := mime.ParseMediaType(b.ContentType)
			require.NoError(t, err)
			require.Equal(t, "multipart/byteranges", mediaType)
			r := multipart.NewReader(&sent, parameters["boundary"])
			for _, part := range parts {
				p, err := r.NextRawPart()
				require.NoError(t, err)
				require.Equal(t, []string{ContentRange(part, int64(len(text)))}, p.Header["Content-Range"])
				require.Equal(t, row.want, p.Header["Content-Type"])
				require.Len(t, p.Header, 1+len(row.want))
				got, err := io.ReadAll(p)
				require.NoError(t, err)
				require.Equal(t, text[part.Start:part.Start+part.Length], string(got))
			}
			_, err = r.NextRawPart()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestBody(t *testing.T) {
	parts := []field.Range{{Start: 0, Length: 5}, {Start: 5, Length: 5}}
	t.Run("an error of a part ends it", func(t *testing.T) {
		gone := errors.New("gone")
		var sent strings.Builder
		calls := 0
		err := NewBody(parts, 10, "").Write(&sent, func(io.Writer, field.Range) error { calls++; return gone })
		require.ErrorIs(t, err, gone)
		require.Equal(t, 1, calls)
	})
	t.Run("an error of the writer ends it", func(t *testing.T) {
		err := NewBody(parts, 10, "").Write(broken{}, func(io.Writer, field.Range) error {
			t.Error("a part is written behind a header that was not")
			return nil
		})
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
	t.Run("each body has a boundary of its own", func(t *testing.T) {
		if a, b := NewBody(parts, 10, ""), NewBody(parts, 10, ""); a.ContentType == b.ContentType {
			t.Errorf("got %q twice", a.ContentType)
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
