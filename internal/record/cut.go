package record

import "errors"

// ErrEnough is what the writes of a handler get when nothing of its response is wanted any more.
var ErrEnough = errors.New("edgecache: the client has got all that it asked for of the response")

// part is what of a body its client gets.
type part struct {
	skip, rest int64  // bytes before it that are still to come, and of it
	whole      func() // called when the client has got all of it
}

// Cut sends length bytes of the body, from offset on, to the client's writer, whose header is the
// Judge's to send. It calls whole when they are there. All further writes fail with ErrEnough, so that
// the handler ends: most stop at the first error of their writer.
func (f *Fill) Cut(offset, length int64, whole func()) {
	f.mode, f.part = cut, &part{offset, length, whole}
}

// End makes all writes fail with ErrEnough.
func (f *Fill) End() { f.mode, f.part = over, new(part) }

// writePart sends what of p is wanted.
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
