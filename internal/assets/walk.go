package assets

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// Bounds of what is indexed. A larger tree is the wrong folder, or one whose symbolic links
// multiply paths.
const (
	maxFiles   = 1 << 17
	maxFolders = 1 << 16
	maxLinked  = 1 << 12 // folders below symbolic links
)

// entry is a file that the walk found.
type entry struct {
	name string
	info fs.FileInfo
}

// walk lists regular files. follow also takes the targets of symbolic links: only os.Root ensures
// that they are inside.
type walk struct {
	fsys    fs.FS
	follow  bool
	folders int
	linked  int
	found   []entry
}

// below lists the files in a folder. above are the folders on the way to it; linked says that one
// of them is a symbolic link.
func (w *walk) below(dir string, above []fs.FileInfo, linked bool) error {
	if linked {
		if w.linked++; w.linked > maxLinked {
			return fmt.Errorf("symbolic links lead to more than %d folders, %s among them", maxLinked, dir)
		}
	}
	if w.folders++; w.folders > maxFolders {
		return fmt.Errorf("more than %d folders, %s among them", maxFolders, dir)
	}
	list, err := fs.ReadDir(w.fsys, dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		// An empty name, or one of dots, would be the folder itself or one above it.
		base, name := d.Name(), path.Join(dir, d.Name())
		if path.Base(name) != base || !validName(name) && name != ".well-known" {
			continue
		}
		var info fs.FileInfo
		link := d.Type()&fs.ModeSymlink != 0
		if link {
			if !w.follow {
				continue
			}
			if info, err = fs.Stat(w.fsys, name); err != nil {
				continue // it leads nowhere, or outside
			}
		} else if info, err = d.Info(); err != nil {
			continue // removed since
		}
		switch {
		case info.IsDir():
			if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
				continue // a link back up
			}
			if err := w.below(name, append(above[:len(above):len(above)], info), linked || link); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			if len(w.found) == maxFiles {
				return fmt.Errorf("more than %d files", maxFiles)
			}
			w.found = append(w.found, entry{name, info})
		}
	}
	return nil
}
