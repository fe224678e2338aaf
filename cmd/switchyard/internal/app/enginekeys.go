package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"switchyard/asl/api"
	"switchyard/asl/api/sigv4"
	"switchyard/config"
	"switchyard/internal/datadir"
)

// EngineKeysFile is the file in the data folder that holds the access key of
// the engine's port that was made at the first start. It has the format of
// AWS's shared credentials files, so that clients can be pointed to it.
const EngineKeysFile = "engine.keys"

const (
	keyIDLine  = "aws_access_key_id"
	secretLine = "aws_secret_access_key"
)

// newDoor is the door to the engine's port: what the config allows in. The
// access key of the data folder dir is made where the config names none.
func (e *Embedded) newDoor(cfg *config.Config, dir string) (*api.Door, error) {
	port := cfg.Engine.Embedded
	door := api.DoorConfig{Hosts: port.Hosts}
	if port.Auth == config.AuthNone {
		return api.NewDoor(e.API, door)
	}
	verify := sigv4.Config{Service: "states", KeysAt: "Use one of engine.embedded.keys in Switchyard's config."}
	for _, k := range port.Keys {
		verify.Keys = append(verify.Keys, sigv4.Key{ID: k.ID, Secret: k.Secret.Reveal()})
	}
	if len(verify.Keys) == 0 {
		key, err := makeEngineKey(dir)
		if err != nil {
			return nil, err
		}
		verify.Keys = []sigv4.Key{key}
		verify.KeysAt = fmt.Sprintf("Export the keys of %s, which \"switchyard engine keys\" prints.", engineKeysPath(dir))
	}
	v, err := sigv4.New(verify)
	if err != nil {
		return nil, fmt.Errorf("engine.embedded.keys: %w", err)
	}
	door.Verifier = v
	return api.NewDoor(e.API, door)
}

// engineKeysPath is absolute, since it is shown to whoever calls from elsewhere.
func engineKeysPath(dir string) string {
	path := filepath.Join(dir, EngineKeysFile)
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// checkReach refuses a port that other machines can reach and that verifies
// nothing, whatever its address was written as.
func checkReach(l net.Listener, cfg *config.Config) error {
	addr, ok := l.Addr().(*net.TCPAddr)
	if cfg.Engine.Embedded.Auth != config.AuthNone || ok && addr.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines, and no request would have to be signed", l.Addr())
}

// EngineKey is the access key with which clients sign for the engine's port: the
// first of the config or, where it names none, the one in the data folder dir.
func EngineKey(cfg *config.Config, dir string) (sigv4.Key, error) {
	if keys := cfg.Engine.Embedded.Keys; len(keys) > 0 {
		return sigv4.Key{ID: keys[0].ID, Secret: keys[0].Secret.Reveal()}, nil
	}
	key, err := readEngineKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("%s is not there: the access key is made at the first start with the port open, by engine.embedded.listen or \"switchyard engine --keys\"", engineKeysPath(dir))
	}
	return key, err
}

// makeEngineKey returns the access key of the data folder, which it makes at the
// first call.
func makeEngineKey(dir string) (sigv4.Key, error) {
	key, err := readEngineKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	random := make([]byte, 40)
	rand.Read(random)
	key = sigv4.Key{ID: "SWITCHYARD" + strings.ToUpper(hex.EncodeToString(random[:5])), Secret: hex.EncodeToString(random[8:])}
	text := "# The access key of the engine's port. \"switchyard engine keys\" prints it for a\n" +
		"# shell; AWS_SHARED_CREDENTIALS_FILE can name this file. Deleted, another one is\n" +
		"# made at the next start.\n" +
		"[default]\n" + keyIDLine + " = " + key.ID + "\n" + secretLine + " = " + key.Secret + "\n"
	return key, datadir.WriteFile(filepath.Join(dir, EngineKeysFile), []byte(text))
}

func readEngineKey(dir string) (key sigv4.Key, err error) {
	path := filepath.Join(dir, EngineKeysFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case keyIDLine:
			key.ID = strings.TrimSpace(value)
		case secretLine:
			key.Secret = strings.TrimSpace(value)
		}
	}
	if !sigv4.ValidID(key.ID) || len(key.Secret) < 32 {
		return sigv4.Key{}, fmt.Errorf("%s holds no access key; delete it to have a new one made", path)
	}
	return key, nil
}
