package record

import "errors"

// ErrEnough is the error of a handler's writes when nothing more of its response is wanted.
var ErrEnough = errors.New("edgecache: the client has all that it asked for of the response")

// part is the part of a body that its client gets.
type part struct {
	skip, rest int64  // bytes still to come before the part, and of it
	whole      func() // called when the client has got all of it
}

// Cut sends length bytes of the body, from offset on, to the client's writer. The Judge sends the
// header. Cut calls whole when all of them are sent. All further writes fail with ErrEnough, so
// that the handler ends: most handlers stop at the first error of their writer.
func (f *Fill) Cut(offset, length int64, whole func()) {
	f.mode, f.part = cut, &part{offset, length, whole}
}

// End makes all writes fail with ErrEnough.
func (f *Fill) End() { f.mode, f.part = over, new(part) }

// writePart sends those bytes of p that the client wants.
func (f *Fill) writePart(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.admit(len(p)); err != nil {
		return 0, err
	}
	n = int(min(f.part.skip, int64(len(p))))
	f.part.skip -= int64(n)
	if wanted := p[n:][:min(f.part.rest, int64(len(p)-n))]; len(wanted) > 0 {
		m, err := f.w.Write(wanted)
		f.part.rest -= int64(m)
		n += m
		if err != nil {
			f.length.written += int64(n)
			return n, err
		}
	}
	f.length.written += int64(n)
	if f.part.rest == 0 {
		f.mode = over
		f.part.whole()
	}
	if n < len(p) {
		return n, ErrEnough
	}
	return n, nil
}
