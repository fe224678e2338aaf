package hook

import (
	"fmt"
	"strings"
)

// Timer says how to have the repositories below dir flushed every five minutes:
// by a timer of systemd for the account that owns them, or else by cron.
// program is the absolute path of the switchyard binary.
func Timer(program, dir string) string {
	unit := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`)
	// In a crontab % ends the command, even within quotes.
	cron := strings.ReplaceAll(shellQuote(program)+" hook flush --all "+shellQuote(dir), "%", `\%`)
	return fmt.Sprintf(`As the account that owns the repositories, with systemd:

mkdir -p ~/.config/systemd/user
cat > ~/.config/systemd/user/switchyard-hook.service <<'END'
[Unit]
Description=Report pushes that Switchyard has not heard of
[Service]
Type=oneshot
ExecStart="%s" hook flush --all "%s"
END
cat > ~/.config/systemd/user/switchyard-hook.timer <<'END'
[Timer]
OnBootSec=1min
OnUnitInactiveSec=5min
[Install]
WantedBy=timers.target
END
systemctl --user daemon-reload
systemctl --user enable --now switchyard-hook.timer
loginctl enable-linger

Or with cron, a line for crontab -e:

*/5 * * * * %s
`, unit.Replace(program), unit.Replace(dir), cron)
}
