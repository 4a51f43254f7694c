package key

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"

	"github.com/edgecache-go/edgecache/internal/field"
)

const (
	// MaxVary is how many different field names a Vary may list, and MaxVaryLength how many bytes
	// it may have over all lines. A response with more is not stored.
	MaxVary       = 32
	MaxVaryLength = 4 << 10
	// MaxVariant is the longest variant in bytes that is kept as text. A longer one is replaced by
	// its SHA-256.
	MaxVariant = 2 << 10
)

// VaryNames reads the lines of a Vary field (RFC 9110, 12.5.5). It returns the canonical names,
// sorted and without duplicates, and whether "*" is among them. ok is false, and there are no
// names, when a member is not a token, or when there are more than MaxVary names or MaxVaryLength
// bytes. It reads nothing past either limit.
func VaryNames(lines []string) (names []string, star, ok bool) {
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if size > MaxVaryLength {
		return nil, false, false
	}
	ok = true
	for member := range field.Members(lines) {
		if member == "*" {
			star = true
			continue
		}
		if !ok || !field.IsToken(member) {
			ok = false
			continue
		}
		name := Canonical(member)
		at, found := slices.BinarySearch(names, name)
		if found {
			continue
		}
		names = slices.Insert(names, at, name)
		if len(names) > MaxVary {
			return nil, star, false
		}
	}
	if !ok {
		return nil, star, false
	}
	return names, star, true
}

// Variant appends the names, as VaryNames returns them, and the values of these fields in h, each
// preceded by its length. An absent field differs from an empty one. Host counts as absent: it is
// part of the primary key, and net/http removes it from the header. f has seen every name of h: a
// field with another spelling (X_Custom for X-Custom) counts beside the canonical one, as a field
// of its own. A nil f is for a header without any.
//
// Values that mean the same become equal (RFC 9111, 4.1), but only if a handler that compares bytes
// cannot notice: Accept-Encoding is a set of codings with weights; Accept and Accept-Language lose
// blanks and empty members, the latter also its case; credentials stay as they are, except for
// cookies that do not count (see Cookies); other fields are joined by commas and lose the blanks
// around them.
//
// What Variant appends may follow what Scope appended: no two different pairs of them read the
// same.
func Variant(dst []byte, names []string, h http.Header, f *Fields) []byte {
	start := len(dst)
	for _, name := range names {
		dst = appendText(dst, name)
		lines, present := f.field(h, name)
		if !present || name == "Host" {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1, 0, 0, 0, 0)
		value := len(dst)
		dst = appendNormalized(dst, name, lines)
		binary.BigEndian.PutUint32(dst[value-4:], uint32(len(dst)-value))
	}
	dst = f.appendRespelled(dst, names, h)
	return bounded(dst, start, MaxVariant, kindVariantSum)
}

// Values is Variant without the names. It is as good where they are known to be the same, and
// smaller. With equal names two Values are equal if and only if the Variants are.
func Values(dst []byte, names []string, h http.Header, f *Fields) []byte {
	start := len(dst)
	for _, name := range names {
		lines, present := f.field(h, name)
		if !present || name == "Host" {
			dst = append(dst, 0)
			continue
		}
		at := len(dst)
		dst = appendNormalized(append(dst, 0), name, lines)
		length := len(dst) - at // of the value, plus one: 0 is an absent field
		if dst[at] = byte(length); length >= 0x80 {
			var buf [binary.MaxVarintLen64]byte
			dst = slices.Replace(dst, at, at+1, buf[:binary.PutUvarint(buf[:], uint64(length))]...)
		}
	}
	dst = f.appendRespelled(dst, names, h) // behind the last of names, whose number is known
	return bounded(dst, start, MaxVariant, kindVariantSum)
}

// field returns the lines of a field as far as they count, and whether the field is present then.
func (f *Fields) field(h http.Header, name string) (lines []string, present bool) {
	if f != nil && f.ignored != 0 && f.isIgnored(name) {
		return nil, false
	}
	lines, present = h[name]
	if name == "Cookie" && present && f != nil && f.cookies != nil {
		lines = f.stripped(lines)
		present = len(lines) > 0
	}
	return lines, present
}

// lines returns the lines of a field with this canonical name as far as they count.
func (f *Fields) lines(canonical string, lines []string) []string {
	if canonical == "Cookie" && f.cookies != nil {
		return f.stripped(lines)
	}
	return lines
}

// bounded replaces what was appended since start by its digest if it is longer than limit.
func bounded(dst []byte, start, limit int, kind byte) []byte {
	if len(dst)-start <= limit {
		return dst
	}
	sum := sha256.Sum256(dst[start:])
	dst = append(dst[:start], 0, kind)
	return append(dst, sum[:]...)
}
