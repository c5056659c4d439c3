package config

import (
	"fmt"
	"net/mail"
	"slices"
	"time"
)

func (r *reader) checkEmail() {
	e := r.cfg.Email
	r.required("email.smtp_host", e.SMTPHost, `"localhost"`)
	r.between("email.smtp_port", e.SMTPPort, 1, 65535)
	if e.SMTPUseTLS && e.SMTPUseSSL {
		r.add("email.smtp_usessl", "is true, and so is smtp_usetls",
			"choose one: smtp_usetls begins in clear (port 25 or 587), smtp_usessl does not (port 465)")
	}
	if e.SMTPLogin {
		r.required("email.smtp_username", e.SMTPUsername, `"longhaul"`)
		r.requiredSecret("email.smtp_password", e.SMTPPassword)
		if !e.SMTPUseTLS && !e.SMTPUseSSL && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, e.SMTPHost) {
			r.add("email.smtp_login", "is true without TLS, which would show the password on the way to "+e.SMTPHost,
				"set smtp_usetls or smtp_usessl")
		}
	}
	if e.SMTPCA != "" {
		r.absolute("email.smtp_ca", e.SMTPCA)
	}
	r.atLeastDuration("email.smtp_timeout", e.SMTPTimeout, time.Second)
	if e.Enabled || e.Sender != "" {
		if r.required("email.sender", e.Sender, `"longhaul@example.org"`) {
			r.address("email.sender", e.Sender)
		}
	}
	if e.Enabled && len(e.Recipient) == 0 {
		r.required("email.recipient", "", `"you@example.org"`)
	}
	for _, to := range e.Recipient {
		r.address("email.recipient", to)
	}
	r.atLeast("email.max_per_hour", e.MaxPerHour, 1)
}

func (r *report) address(path, value string) {
	if _, err := mail.ParseAddress(value); err != nil || !printable(value) {
		r.add(path, fmt.Sprintf("has %q, which is no e-mail address", value), `write it as "you@example.org" or "You <you@example.org>"`)
	}
}
