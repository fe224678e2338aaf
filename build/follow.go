//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// LogInfo describes the log of one build.
type LogInfo struct {
	// TaskID names the log within its execution.
	TaskID string
	Path   string
	// Size is in bytes.
	Size int64
	// Modified is when the log was last written to.
	Modified time.Time
	// Running is true while the build waits or runs.
	Running bool
}

// Logs lists the logs of an execution's builds, the one that was written to
// last at the end. An execution without logs gives an empty list.
func (h *Handler) Logs(executionName string) ([]LogInfo, error) {
	dir := filepath.Join(h.logs.root, pathName(executionName))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("logs of execution %s: %w", executionName, err)
	}
	var infos []LogInfo
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".log")
		info, err := e.Info()
		if !ok || err != nil {
			continue // removed meanwhile, or not ours
		}
		path := filepath.Join(dir, e.Name())
		infos = append(infos, LogInfo{
			TaskID: id, Path: path, Size: info.Size(), Modified: info.ModTime(),
			Running: h.logs.find(path) != nil,
		})
	}
	slices.SortStableFunc(infos, func(a, b LogInfo) int { return a.Modified.Compare(b.Modified) })
	return infos, nil
}

// OpenLog opens the log of one build, by its execution's name and a TaskID of
// [Handler.Logs]. The error is fs.ErrNotExist when there is none. The bytes
// are as the build wrote them: escape them where they are shown.
func (h *Handler) OpenLog(executionName, taskID string) (io.ReadSeekCloser, error) {
	path := filepath.Join(h.logs.root, pathName(executionName), logName(taskID))
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("log %s of execution %s: %w", taskID, executionName, err)
	}
	return f, nil
}

// logName is the file of a task, also when its ID was read from a listing of
// files, where it has been through pathName before.
func logName(taskID string) string {
	if hash, ok := strings.CutPrefix(taskID, "x."); ok && pathName(hash) == hash {
		return taskID + ".log"
	}
	return pathName(taskID) + ".log"
}

// Follow copies the logs of an execution's builds to w, one after the other,
// and goes on while a build of the execution waits or runs. It returns nil
// when none does, the error of w, or the cause of ctx. The error is
// fs.ErrNotExist when the execution has no log.
func (h *Handler) Follow(ctx context.Context, executionName string, w io.Writer) error {
	done := make(map[string]bool)
	for {
		infos, err := h.Logs(executionName)
		if err != nil {
			return err
		}
		if len(infos) == 0 {
			return fmt.Errorf("logs of execution %s: %w", executionName, fs.ErrNotExist)
		}
		next := slices.IndexFunc(infos, func(i LogInfo) bool { return !done[i.TaskID] })
		if next < 0 {
			return nil
		}
		if err := h.FollowLog(ctx, executionName, infos[next].TaskID, w); err != nil {
			return err
		}
		done[infos[next].TaskID] = true
	}
}

// FollowLog copies the log of one build to w until the build has ended. Errors
// are those of [Handler.Follow].
func (h *Handler) FollowLog(ctx context.Context, executionName, taskID string, w io.Writer) error {
	f, err := h.OpenLog(executionName, taskID)
	if err != nil {
		return err
	}
	defer f.Close()
	lf := h.logs.find(filepath.Join(h.logs.root, pathName(executionName), logName(taskID)))
	for {
		// The channel is taken before reading: what is written after that
		// closes it.
		var changed <-chan struct{}
		ended := true
		if lf != nil {
			changed, ended = lf.more()
		}
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		if ended {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
