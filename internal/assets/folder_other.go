//go:build !unix

package assets

import (
	"io/fs"
	"os"
)

// Folder returns the files in root.
func Folder(root *os.Root) fs.FS { return root.FS() }
