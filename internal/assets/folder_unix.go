//go:build unix

package assets

import (
	"io/fs"
	"os"
	"syscall"
)

// Folder returns the files in root. It never blocks: what was a file a moment ago may be a pipe
// now, and opening that would wait for a writer.
func Folder(root *os.Root) fs.FS {
	return folder{root.FS().(listed), root}
}

// listed is what the file system of an os.Root promises to be.
type listed interface {
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
}

type folder struct {
	listed
	root *os.Root
}

func (f folder) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err // not an *os.File that is nil
	}
	return file, nil
}
