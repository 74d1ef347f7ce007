"""Asked before each SMTP transaction: may this message leave now?"""

from wit_world import exports
from wit_world.exports.send_admission import Admission_Admit, Admission_Skip


class SendAdmission(exports.SendAdmission):
    def admit(self, send):
        """Nothing goes to example.com."""
        if send.contact.domain == "example.com":
            return Admission_Skip("nobody reads mail at example.com")
        return Admission_Admit()
