//go:build linux

package contest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// tree is a process and all that descend from it.
type tree []int

// treeOf returns the processes under root, itself included.
func treeOf(root int) (tree, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		// The name in brackets may hold anything; what follows the last bracket does not.
		rest := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(rest) > 1 {
			if parent, err := strconv.Atoi(rest[1]); err == nil {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	all := tree{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// cpu is the processor time that the processes have used, in user and in kernel mode.
func (t tree) cpu() (sum time.Duration, err error) {
	for _, pid := range t {
		// The clock of another process, as clock_getcpuclockid(3) makes it: finer than the ticks in /proc.
		clock := ^pid<<3 | 2
		var ts syscall.Timespec
		if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
			return 0, fmt.Errorf("bench: CPU time of process %d: %w", pid, errno)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// memory is what the processes have resident, in bytes. What several of them share counts once.
func (t tree) memory() (sum int64, err error) {
	for _, pid := range t {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return 0, err
				}
				sum += n << 10
			}
		}
	}
	return sum, nil
}

// filesIn is what the files under dir hold, in bytes: a cache on a file system in memory is no process's.
func filesIn(dir string) (sum int64) {
	if dir == "" {
		return 0
	}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil // files come and go while we look
	})
	return sum
}
