package frame

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var kind = Kind{'t', 's', 't', 1}

func sealed(payload string) []byte {
	b := append(Begin(nil, kind), payload...)
	Seal(b)
	return b
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	whole := sealed("some payload")
	payload, ok := Open(whole, kind)
	require.True(t, ok)
	require.Equal(t, "some payload", string(payload))
	if &payload[0] != &whole[size] {
		t.Error("the payload was copied")
	}
	for i := range whole {
		for bit := range 8 {
			changed := bytes.Clone(whole)
			changed[i] ^= 1 << bit
			if _, ok := Open(changed, kind); ok {
				t.Errorf("bit %d of byte %d turned: got a frame, want none", bit, i)
			}
		}
		if _, ok := Open(whole[:i], kind); ok {
			t.Errorf("cut to %d bytes: got a frame, want none", i)
		}
	}
	if _, ok := Open(append(bytes.Clone(whole), 0), kind); ok {
		t.Error("with a byte behind it: got a frame, want none")
	}
	if _, ok := Open(whole, Kind{'t', 's', 't', 2}); ok {
		t.Error("asked for another version: got a frame, want none")
	}
	if payload, ok := Open(sealed(""), kind); !ok || len(payload) != 0 {
		t.Errorf("empty payload: got %q, %v", payload, ok)
	}
}

func TestReaderGivesBackWhatWasAppended(t *testing.T) {
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
}

func TestReaderRefuses(t *testing.T) {
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
}
