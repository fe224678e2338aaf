package app

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"

	"go.uber.org/zap"

	"switchyard/build"
	"switchyard/config"
)

// KeyFiles are the files in the data folder that only the service's user may
// read, as far as they are there.
var KeyFiles = []string{TokenFile, keyFile, EngineKeysFile}

// proofParameter is what /healthz is asked by for a proof of whose it is.
const proofParameter = "challenge"

var challenge = regexp.MustCompile(`^[0-9a-f]{32}$`)

// healthz answers as long as the service runs. Who can read the data folder can
// ask for a proof that it is the service of that folder which answers, and not
// another behind the same name: see [Challenge].
func (a *App) healthz(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "ok")
	if asked := r.URL.Query().Get(proofParameter); challenge.MatchString(asked) {
		fmt.Fprintln(w, proof(a.key, asked))
	}
}

// proof is as secret as the key it is made with. What it is made of, no link to a
// page is made of.
func proof(key, asked string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("healthz\x00" + asked))
	return hex.EncodeToString(mac.Sum(nil))
}

// Challenge returns a query for /healthz, and the second line of the answer that
// only the service gives whose data folder the config names. It is an error when
// that folder has no key which can be read.
func Challenge(cfg *config.Config) (query, want string, err error) {
	key, err := readSecretFile(cfg.Resolve(cfg.DataDir), keyFile)
	if err != nil {
		return "", "", err
	}
	random := make([]byte, 16)
	rand.Read(random)
	asked := hex.EncodeToString(random)
	return proofParameter + "=" + asked, proof(key, asked), nil
}

// TryIsolation finds out what keeps local builds apart here, as the service would
// at its start; exposed says why nothing does. The error is why the service would
// not start.
func TryIsolation(cfg *config.Config) (by, exposed string, err error) {
	dir, err := filepath.Abs(cfg.Resolve(cfg.DataDir))
	if err != nil {
		return "", "", err
	}
	local := buildConfig(cfg, filepath.Join(dir, "builds"))
	local.Hidden = append(local.Hidden, dir)
	if by, exposed, err = build.TryIsolation(zap.NewNop(), local); err != nil {
		return "", "", err
	}
	return by, exposed, refuseForks(cfg, exposed)
}
