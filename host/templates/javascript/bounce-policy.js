// Asked after each bounce or complaint, and at each health tick: what becomes of the credential?
export const bounceJudgement = {
  // Three complaints in a day are enough.
  judge(stats) {
    const complaints = Number(stats.lastDay.complaints);
    if (complaints < 3) {
      return { tag: 'keep' };
    }
    return { tag: 'disable', val: `${complaints} complaints in a day` };
  },
};
