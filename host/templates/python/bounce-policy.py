"""Asked after each bounce or complaint, and at each health tick: what becomes of the credential?"""

from wit_world import exports
from wit_world.exports.bounce_judgement import Judgement_Disable, Judgement_Keep


class BounceJudgement(exports.BounceJudgement):
    def judge(self, stats):
        """Three complaints in a day are enough."""
        complaints = stats.last_day.complaints
        if complaints < 3:
            return Judgement_Keep()
        return Judgement_Disable(f"{complaints} complaints in a day")
