package gittest

import (
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"strings"
)

// Serve answers a request of git's smart HTTP protocol as git-http-backend does.
// rest is what follows the repository in the path, such as info/refs. Who may do
// so is the caller's to check.
func (r *Repo) Serve(w http.ResponseWriter, req *http.Request, rest string) {
	out, err := exec.CommandContext(req.Context(), "git", "--exec-path").Output()
	if err != nil {
		r.t.Errorf("git --exec-path: %v", err)
	}
	root, name := filepath.Split(r.Dir)
	req = req.Clone(req.Context())
	req.URL.Path = "/" + name + "/" + rest
	env := []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=test", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	if protocol := req.Header.Get("Git-Protocol"); protocol != "" {
		env = append(env, "GIT_PROTOCOL="+protocol)
	}
	(&cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Env: env}).ServeHTTP(w, req)
}
