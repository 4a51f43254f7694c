package frame

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var kind = Kind{'t', 's', 't', 1}

// sealers are one without a key, and one with a key.
var sealers = map[string]Sealer{"no key": {}, "a key": NewSealer([]byte("0123456789abcdef"))}

func sealed(s Sealer, payload string) []byte {
	b := append(s.Begin(nil, kind), payload...)
	s.Seal(b, "name")
	return b
}

func TestSealer(t *testing.T) {
	t.Run("it refuses what was changed", func(t *testing.T) {
		for who, s := range sealers {
			t.Run(who, func(t *testing.T) {
				whole := sealed(s, "some payload")
				payload, ok := s.Open(whole, kind, "name")
				require.True(t, ok)
				require.Equal(t, "some payload", string(payload))
				if &payload[0] != &whole[s.Overhead()] {
					t.Error("the payload was copied")
				}
				for i := range whole {
					for bit := range 8 {
						changed := bytes.Clone(whole)
						changed[i] ^= 1 << bit
						if _, ok := s.Open(changed, kind, "name"); ok {
							t.Errorf("bit %d of byte %d turned: got a frame, want none", bit, i)
						}
					}
					if _, ok := s.Open(whole[:i], kind, "name"); ok {
						t.Errorf("cut to %d bytes: got a frame, want none", i)
					}
				}
				if _, ok := s.Open(append(bytes.Clone(whole), 0), kind, "name"); ok {
					t.Error("with a byte behind it: got a frame, want none")
				}
				if _, ok := s.Open(whole, Kind{'t', 's', 't', 2}, "name"); ok {
					t.Error("asked for another version: got a frame, want none")
				}
				for _, name := range []string{"", "nam", "name2", "Name", "namesome"} {
					if _, ok := s.Open(whole, kind, name); ok {
						t.Errorf("asked for under the name %q: got a frame, want none", name)
					}
				}
				if payload, ok := s.Open(sealed(s, ""), kind, "name"); !ok || len(payload) != 0 {
					t.Errorf("empty payload: got %q, %v", payload, ok)
				}
				for other, o := range sealers {
					if _, ok := o.Open(whole, kind, "name"); ok != (other == who) {
						t.Errorf("read with %s: got %v", other, ok)
					}
				}
			})
		}
	})
	// A frame is what it was when it was stored, however long its name is.
	t.Run("it proves kind, name and payload", func(t *testing.T) {
		for who, s := range sealers {
			before := append(s.Begin([]byte("before"), kind), "payload"...)
			s.Seal(before[6:], strings.Repeat("n", 300))
			if payload, ok := s.Open(before[6:], kind, strings.Repeat("n", 300)); !ok || string(payload) != "payload" {
				t.Errorf("%s, behind something: got %q, %v", who, payload, ok)
			}
			if got, want := len(sealed(s, "payload")), s.Overhead()+len("payload"); got != want {
				t.Errorf("%s: got %d bytes, want %d", who, got, want)
			}
		}
		one, other := sealed(NewSealer([]byte("one")), "x"), sealed(NewSealer([]byte("other")), "x")
		if bytes.Equal(one, other) {
			t.Error("two keys make one proof")
		}
		// RFC 2104 over kind, length of the name, name and payload.
		mac := hmac.New(sha256.New, []byte("one"))
		mac.Write([]byte("tst\x01\x04namex"))
		if want := mac.Sum(nil); !bytes.Equal(one[4:36], want) {
			t.Errorf("got the proof %x, want %x", one[4:36], want)
		}
	})
}

func TestReader(t *testing.T) {
	t.Run("it gives back what was appended", func(t *testing.T) {
		var b []byte
		numbers := []uint64{0, 1, 127, 128, 1 << 32, math.MaxUint64}
		for _, n := range numbers {
			b = AppendFixed(AppendUint(b, n), n)
		}
		b = AppendText(b, "")
		b = AppendText(b, strings.Repeat("x", 300))
		b = AppendTexts(b, nil)
		b = AppendTexts(b, []string{"a", "", "c"})
		r := NewReader(string(b))
		for _, n := range numbers {
			if got := r.Uint(); got != n {
				t.Errorf("got %d, want %d", got, n)
			}
			if got := r.Fixed(); got != n {
				t.Errorf("got %d, want %d", got, n)
			}
		}
		if got := r.Text(); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
		if got := r.Text(); got != strings.Repeat("x", 300) {
			t.Errorf("got %q", got)
		}
		if got := r.Texts(3); got != nil {
			t.Errorf("got %q, want nil", got)
		}
		if r.Done() {
			t.Error("done before the end")
		}
		if got := r.Texts(3); !slices.Equal(got, []string{"a", "", "c"}) || !r.Done() {
			t.Errorf("got %q, done %v", got, r.Done())
		}
	})
	t.Run("it refuses", func(t *testing.T) {
		for name, row := range map[string]struct {
			payload string
			read    func(*Reader)
		}{
			"a number that ends too soon":      {"\x80", func(r *Reader) { r.Uint() }},
			"a number with a useless byte":     {"\x80\x00", func(r *Reader) { r.Uint() }},
			"a number of 65 bits":              {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", func(r *Reader) { r.Uint() }},
			"a number that never ends":         {strings.Repeat("\xff", 20), func(r *Reader) { r.Uint() }},
			"seven of eight bytes":             {"1234567", func(r *Reader) { r.Fixed() }},
			"a text longer than what is there": {"\x05abcd", func(r *Reader) { r.Text() }},
			"a length near the largest number": {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abcd", func(r *Reader) { r.Text() }},
			"more items than there is room":    {"\x03ab", func(r *Reader) { r.Count(1) }},
			"items larger than the room":       {"\x02abc", func(r *Reader) { r.Count(2) }},
			"more texts than the limit":        {"\x03\x00\x00\x00", func(r *Reader) { r.Texts(2) }},
			"something behind the end":         {"\x01a!", func(r *Reader) { r.Text() }},
			"a mistake that the caller finds":  {"", func(r *Reader) { r.Fail() }},
		} {
			r := NewReader(row.payload)
			row.read(&r)
			if r.Done() {
				t.Errorf("%s: got done, want a mistake", name)
			}
			if row.payload != "\x01a!" && r.Text() != "" {
				t.Errorf("%s: something was read after the mistake", name)
			}
		}
	})
}
