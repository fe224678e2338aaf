package nearest

import "testing"

func TestName(t *testing.T) {
	known := []string{"deploy", "semaphore", "ResultPath", "data_dir"}
	for key, want := range map[string]string{
		"deploy": "deploy", "DEPLOY": "deploy", "deplyo": "deploy", "depoy": "deploy", "semafore": "semaphore",
		"resultPath": "ResultPath", "dataDir": "data_dir", "data-dir": "data_dir",
		"": "", "approval": "", "xxxxxx": "",
	} {
		if got := Name(key, known); got != want {
			t.Errorf("%q is taken for %q, want %q", key, got, want)
		}
	}
}
