package assets

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxKept is the size of the largest file, in bytes, that is kept in memory because its file
	// system cannot seek in it or does not say when it has changed. The files of an embed.FS are
	// among them: package embed hands out copies only.
	maxKept = 4 << 20
	// maxStylesheet is the size of the largest stylesheet, in bytes, whose references are
	// rewritten.
	maxStylesheet = 8 << 20
	// tick is how old a file must be when it is read, so that its next edit shows in its time of
	// change: file systems count in up to two seconds.
	tick = 2 * time.Second
	// readAttempts is how often a file is read that is being written meanwhile.
	readAttempts = 3
	// tail is how many bytes of a file are sent only after a last look whether it is still the
	// same.
	tail = 512
)

// errChanged says that a file has changed since it was hashed.
var errChanged = errors.New("file has changed")

// original is a file as it was when it was hashed.
type original struct {
	fsys     fs.FS
	name     string
	size     int64
	modified time.Time
	read     time.Time // when it was hashed
	sum      [sha256.Size]byte
	constant bool                        // part of the program or of an archive: it cannot change
	data     []byte                      // its bytes, if they are kept in memory; never written
	text     string                      // of a stylesheet without data, to find its references
	racy     atomic.Bool                 // so young that an edit might not change modified
	info     atomic.Pointer[fs.FileInfo] // tells it from a file that takes its place; nil where that is impossible
}

var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// read hashes a file, and keeps the text of a stylesheet. It returns fs.ErrNotExist for anything
// but a regular file.
func read(fsys fs.FS, name string, sheet bool) (*original, error) {
	for range readAttempts {
		o, err := readOnce(fsys, name, sheet)
		if !errors.Is(err, errChanged) {
			return o, err
		}
	}
	return nil, fmt.Errorf("read %s: %w while it was read", name, errChanged)
}

func readOnce(fsys fs.FS, name string, sheet bool) (*original, error) {
	// First, since opening a pipe would wait for a writer.
	if info, err := fs.Stat(fsys, name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, notRegular(name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(name)
	}
	o := &original{fsys: fsys, name: name, size: info.Size(), modified: info.ModTime(), constant: isConstant(f)}
	_, seeks := f.(io.Seeker)
	timeless := o.modified.IsZero() // as in an embed.FS
	keep := (!seeks || timeless) && o.size <= maxKept
	sheet = sheet && o.size <= maxStylesheet
	sum := sha256.New()
	var kept bytes.Buffer
	to := io.Writer(sum)
	if keep || sheet {
		kept.Grow(int(o.size) + bytes.MinRead)
		to = io.MultiWriter(sum, &kept)
	}
	o.read = time.Now()
	buf := buffers.Get().(*[64 << 10]byte)
	n, err := io.CopyBuffer(to, io.LimitReader(f, o.size+1), buf[:])
	buffers.Put(buf)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if n != o.size {
		return nil, errChanged
	}
	if !o.constant {
		if info, err = f.Stat(); err != nil || !o.is(info) {
			return nil, errChanged
		}
		o.racy.Store(timeless && !keep || o.read.Sub(o.modified) < tick)
		if os.SameFile(info, info) && runtime.GOOS != "windows" { // there it opens both by their names
			o.info.Store(&info)
		}
	}
	sum.Sum(o.sum[:0])
	switch {
	case keep:
		o.data = kept.Bytes()
	case sheet:
		o.text = kept.String()
	}
	return o, nil
}

func notRegular(name string) error {
	return &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// css returns the text of a stylesheet.
func (o *original) css() string {
	if o.data != nil {
		return string(o.data)
	}
	return o.text
}

// is reports whether info is about the file that was hashed.
func (o *original) is(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Size() == o.size && info.ModTime().Equal(o.modified)
}

// replaced reports whether info is about another file with the same name. That one may be as long
// and as old: reproducible builds give all files one time.
func (o *original) replaced(info fs.FileInfo) bool {
	before := o.info.Load()
	return before != nil && !os.SameFile(*before, info)
}

// current reports whether the file is still what was hashed.
func (o *original) current() bool {
	if o.constant {
		return true
	}
	info, err := fs.Stat(o.fsys, o.name)
	if err != nil || !o.is(info) {
		return false
	}
	if !o.racy.Load() && !o.replaced(info) {
		return true
	}
	again, err := read(o.fsys, o.name, false)
	if err != nil || again.sum != o.sum || !again.modified.Equal(o.modified) {
		return false
	}
	// A time ahead of our clock proves nothing by itself. But a file that had it a tick ago has
	// another one by now, if it was changed.
	o.racy.Store(again.racy.Load() && (o.modified.IsZero() || again.read.Sub(o.read) < tick))
	o.info.Store(again.info.Load())
	return true
}

// isConstant goes by the package that made the file, so fs.Sub makes no difference.
func isConstant(f fs.File) bool {
	switch packageOf(f) {
	case "embed", "archive/zip":
		return true
	}
	return false
}

func packageOf(f fs.File) string {
	t := reflect.TypeOf(f)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath()
}

// content is a body that is being sent: bytes, or an open file.
type content struct {
	data []byte
	size int64
	from *original // the file; nil for bytes
	file fs.File
	at   int64
}

// open checks that the file exists and is the same. It returns errChanged if it is not.
func (o *original) open() (content, error) {
	if o.data != nil || o.size == 0 {
		return content{data: o.data, size: o.size}, nil
	}
	f, err := o.fsys.Open(o.name)
	if err != nil {
		return content{}, errChanged
	}
	if info, err := f.Stat(); err != nil || !o.is(info) || o.replaced(info) {
		_ = f.Close()
		return content{}, errChanged
	}
	return content{size: o.size, from: o, file: f}, nil
}

func (c *content) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
}

// send writes length bytes from offset. A file that changes while it is sent ends the connection:
// the client must not take what it got for the whole.
func (c *content) send(w io.Writer, offset, length int64) error {
	if c.file == nil {
		_, err := w.Write(c.data[offset : offset+length])
		return err
	}
	if err := c.seek(offset); err != nil {
		return err
	}
	c.at = offset + length
	last := min(length, tail)
	var buf [tail]byte
	if length > last {
		if _, err := io.CopyN(w, c.file, length-last); err != nil { // through w's ReadFrom, so by sendfile if possible
			if _, lost := io.ReadFull(c.file, buf[:1]); lost != nil { // the file fails, not the client
				panic(http.ErrAbortHandler)
			}
			return err
		}
	}
	if _, err := io.ReadFull(c.file, buf[:last]); err != nil || !c.unchanged() {
		panic(http.ErrAbortHandler)
	}
	_, err := w.Write(buf[:last])
	return err
}

// unchanged is the last look at a file that was read. An archive compares a checksum when its entry
// was read to the end.
func (c *content) unchanged() bool {
	if !c.from.constant {
		info, err := c.file.Stat()
		return err == nil && c.from.is(info)
	}
	if c.at < c.size {
		return true
	}
	n, err := c.file.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}

// seeks reports whether the body can be read in any order. If not, it must be sent in ascending
// order.
func (c *content) seeks() bool {
	if c.file == nil {
		return true
	}
	_, ok := c.file.(io.Seeker)
	return ok
}

func (c *content) seek(offset int64) error {
	if c.at == offset {
		return nil
	}
	if s, ok := c.file.(io.Seeker); ok {
		_, err := s.Seek(offset, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, c.file, offset-c.at)
	return err
}

// bytes reads the whole file, and returns only what was hashed.
func (o *original) bytes() ([]byte, error) {
	c, err := o.open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	if c.file == nil {
		return c.data, nil
	}
	data, err := io.ReadAll(io.LimitReader(c.file, o.size+1))
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != o.sum {
		return nil, errChanged
	}
	return data, nil
}

// reader reads the whole body once.
func (c *content) reader() io.Reader {
	if c.file == nil {
		return bytes.NewReader(c.data)
	}
	return c.file
}
